// The chain's books, and a key that is not there, in the order of the keys.
>> {"jsonrpc":"2.0","id":1,"method":"records","params":{"keys":["03","ff"]}}
<< {"jsonrpc":"2.0","id":1,"result":{"height":4,"values":["9904cf000001977420eba00100cf000001977420dfe8c2c410000000000000000000010a7b607dd4a8ce00daf6b000",null]}}
>> {"jsonrpc":"2.0","id":1,"method":"records","params":{"keys":[]}}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":{"reason":"bad_params","seen":"Expected `array` of length >= 1 - at `$.keys`","bound":"parameters: keys"}}}
