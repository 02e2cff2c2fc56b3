"""The node's interface to the outside: JSON-RPC 2.0 over HTTP and WebSocket, health checks, metrics.

- `config`: limits and allow-lists of the server.
- `context`: what the API needs of the node, as Protocols, and what every handler gets.
- `errors`: error codes, and how rejections become error objects.
- `jsonrpc`: bytes to requests; `registry`: what a method is; `dispatch`: requests to responses.
- `methods`: the table of all methods; `reads`, `node_reads`, `trust_reads`, `market_reads`, `order_reads`, `governance_reads`,
  `transactions`, `streams`: their handlers; `lookups`: what they share.
- `views`, `views_*`: the JSON of results; `describe`, `describe_*`: how records become it.
- `intake`: submitted transactions on their way to the mempool; `waiters`: calls that wait for a transaction.
- `event_feed`: events of final blocks for long polls and subscriptions.
- `proofs`: proof bundles from the chain.
- `openrpc`: the description of all of it, generated.
- `app`, `guard`, `websocket`, `health`: HTTP; `server`: its sockets.
"""
