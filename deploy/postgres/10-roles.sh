#!/bin/sh
# Runs once, when the volume is empty: the role that owns the tables, the role of web and workers,
# and a database that nobody else may enter.
set -eu
: "${EXCHANGE_OWNER_PASSWORD:?}" "${EXCHANGE_APP_PASSWORD:?}"
psql -v ON_ERROR_STOP=1 -v owner_password="$EXCHANGE_OWNER_PASSWORD" \
    -v app_password="$EXCHANGE_APP_PASSWORD" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE exchange_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE exchange_app LOGIN PASSWORD :'app_password';
CREATE DATABASE exchange OWNER exchange_owner;
REVOKE ALL ON DATABASE exchange FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE exchange TO exchange_app;
SQL
