"""The REST API for Django people: browsable, paginated, filterable, described by a schema that is exact.

``views`` read a request through ``serializers``, call ``orchestrations.client`` or ``orchestrations.reading``, and
answer; ``problems`` turns every error into problem details.
"""
