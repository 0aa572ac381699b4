"""The documents of the API, as data: each is declared once, parsed from requests, encoded into answers and described in
OpenAPI from that declaration.

Clients may import them too: nothing here needs more than msgspec, and nothing of the server.
"""
