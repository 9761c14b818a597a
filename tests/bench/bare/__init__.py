"""The opponent of order entry: a view that does the least that an honest one must.

Same web server, authentication, throttle, serializer, renderer and durable commit; one INSERT. No
idempotency, no funds, no rules, no audit.
"""
