"""The HTTP/1.1 server: listening, connections and their bounds, heads and bodies on their way, and the processes that
serve.

It speaks ASGI to the application and knows nothing of artifacts. `docs/explanation/connections.md` says what it bounds
and why.
"""
