// With proof; by position; and one that nobody knows.
>> {"jsonrpc":"2.0","id":1,"method":"tx","params":{"tx_id":"3f192e20d3523efc769341c609747372308ebe0e23b65dcfd2f06a1c4a19ddda","prove":true}}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Not found","data":{"reason":"unknown_transaction","seen":"3f192e20d3523efc769341c609747372308ebe0e23b65dcfd2f06a1c4a19ddda"}}}
>> {"jsonrpc":"2.0","id":1,"method":"tx","params":["3f192e20d3523efc769341c609747372308ebe0e23b65dcfd2f06a1c4a19ddda"]}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Not found","data":{"reason":"unknown_transaction","seen":"3f192e20d3523efc769341c609747372308ebe0e23b65dcfd2f06a1c4a19ddda"}}}
>> {"jsonrpc":"2.0","id":1,"method":"tx","params":["0000000000000000000000000000000000000000000000000000000000000000"]}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Not found","data":{"reason":"unknown_transaction","seen":"0000000000000000000000000000000000000000000000000000000000000000"}}}
