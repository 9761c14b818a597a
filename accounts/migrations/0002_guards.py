from django.db import migrations

from core.sql import refuse_change_sql

CREDIT_CODE = """
CREATE FUNCTION credit_code_is_valid(code text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT code ~ '^[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}$'
       AND (SELECT sum((strpos('0123456789ABCDEFGHJKLMNPQRTUWXY', substr(code, place::int, 1)) - 1)
                       * weight) % 31 = 0
            FROM unnest(ARRAY[1,3,9,27,19,26,16,17,20,29,25,13,8,24,10,30,28,1])
                 WITH ORDINALITY AS weights (weight, place))
$$
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("core", "0002_guards")]

    operations = [
        migrations.RunSQL(CREDIT_CODE, "DROP FUNCTION credit_code_is_valid(text)"),
        migrations.RunSQL(
            "ALTER TABLE accounts_organisation ADD CONSTRAINT credit_code_has_its_check_character"
            " CHECK (credit_code_is_valid(credit_code))",
            "ALTER TABLE accounts_organisation DROP CONSTRAINT credit_code_has_its_check_character",
        ),
        migrations.RunSQL(*refuse_change_sql("accounts_auditrow")),
        migrations.RunSQL(*refuse_change_sql("accounts_auditseal")),
    ]
