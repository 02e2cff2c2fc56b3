// A transaction that nobody knows may still come.
>> {"jsonrpc":"2.0","id":1,"method":"tx_wait","params":{"tx_id":"0000000000000000000000000000000000000000000000000000000000000000","timeout_ms":0}}
<< {"jsonrpc":"2.0","id":1,"result":{"tx_id":"0000000000000000000000000000000000000000000000000000000000000000","status":"unknown","height":null,"index":null,"receipt":null,"provisional":false}}
>> {"jsonrpc":"2.0","id":1,"method":"tx_wait","params":{"tx_id":"00000000000000000000000000000000000000000000000000000000000000"}}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":{"reason":"bad_params","seen":"Expected 64 lower-case hex digits - at `$.tx_id`","bound":"parameters: tx_id, level, timeout_ms"}}}
