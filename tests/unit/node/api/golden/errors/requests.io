// What is no request, and what no method takes.
>> {
<< {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error","data":{"reason":"not_json","seen":"no JSON at character 1"}}}
>> []
<< {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"not_a_request","seen":"empty batch","bound":"1 call or more"}}}
>> [1]
<< [{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"not_a_request","seen":"int","bound":"object"}}}]
>> 5
<< {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"not_a_request","seen":"int","bound":"object"}}}
>> {"jsonrpc":"1.0","method":"status","id":1}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32006,"message":"Unsupported JSON-RPC version","data":{"reason":"wrong_version","seen":"1.0","bound":"2.0"}}}
>> {"jsonrpc":"2.0","method":"status","id":1.5}
<< {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"not_an_integer","seen":"1.5","hint":"send integers, and amounts as decimal strings of ubocc"}}}
>> {"jsonrpc":"2.0","method":"status","id":9007199254740992}
<< {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"bad_id","seen":"9007199254740992","bound":"string or integer within 2^53"}}}
>> {"jsonrpc":"2.0","method":"status","id":1,"id":2}
<< {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"duplicate_key","seen":"id"}}}
>> {"jsonrpc":"2.0","id":1,"method":"stauts"}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found","data":{"reason":"unknown_method","seen":"stauts","hint":"rpc.discover lists all methods"}}}
>> {"jsonrpc":"2.0","id":1,"method":"block","params":{"heigth":1}}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":{"reason":"bad_params","seen":"Object contains unknown field `heigth`","bound":"parameters: height, hash"}}}
>> {"jsonrpc":"2.0","id":1,"method":"block","params":{"height":-1}}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":{"reason":"bad_params","seen":"Expected `int` >= 0 - at `$.height`","bound":"parameters: height, hash"}}}
>> {"jsonrpc":"2.0","id":1,"method":"subscribe"}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"needs_websocket","hint":"open a WebSocket at /ws, or poll with events"}}}
>> {"jsonrpc":"2.0","method":"status"}
