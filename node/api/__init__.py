"""The node's interface to the outside: JSON-RPC 2.0 over HTTP and WebSocket, health checks, metrics.

- `config`: limits and allow-lists of the server.
- `context`: what the API needs of the node, as Protocols.
- `errors`: error codes, and how rejections become error objects.
- `jsonrpc`: bytes to requests; `dispatch`: requests to responses; `registry`: what a method is.
- `methods`: the table of all methods; `reads`, `submission`, `queries`, `streams`: their handlers.
- `views`, `describe`: the JSON of results, and how records become it.
- `intake`: submitted transactions on their way to the mempool; `waiters`: calls that wait for a transaction.
- `event_feed`: events of final blocks for long polls and subscriptions.
- `proofs`: proof bundles from the chain.
- `openrpc`: the description of all of it, generated.
- `server`, `app`, `guard`, `websocket`, `health`: HTTP.
"""
