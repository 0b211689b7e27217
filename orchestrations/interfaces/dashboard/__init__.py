"""The dashboard: what people see of the instances and do to them in a browser. It decides nothing about either.

A request is read in ``views``, checked by ``access``, answered from ``orchestrations.reading`` and acted on through
``orchestrations.client``; ``presentation`` turns rows into what templates print, and knows neither requests nor HTML.
"""
