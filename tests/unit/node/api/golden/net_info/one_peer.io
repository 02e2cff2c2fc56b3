// Connected peers.
>> {"jsonrpc":"2.0","id":1,"method":"net_info"}
<< {"jsonrpc":"2.0","id":1,"result":{"node_id":"abababababababababababababababababababab","peers":[{"node_id":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","address":"127.0.0.1:9710","is_outbound":true,"height":4,"score":0,"connected_ms":60000}]}}
