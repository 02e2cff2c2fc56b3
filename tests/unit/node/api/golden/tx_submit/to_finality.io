// Submitted, looked at while pending, included, submitted again: never an error.
>> {"jsonrpc":"2.0","id":1,"method":"tx_submit","params":{"tx":"9296c41500cbbb21a23841a2ecb2279e75f4e3725aab784c5300cf00000197742a03c0cd0b0e919301c415008177407fa11b92449c7a4e17af06684d44f1d242ce006acfc0c4009192c420706f00b782e74dac26f5c0f0a71b93c535c76a9694b7a098742e4ad644905db5c4402d629fe621fe4e3550de032e596f1e6f2f27b7593e5457a4ff0c1ab9fb1d58b97dc28beee1f4a18e0f60c9f19f5aa6788dbc8d3230b18554ab5ff78f01c01500"}}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"Transaction rejected","data":{"reason":"bad_signature","seen":"198712c6f69043af39a9cb8a09be5aaf1b61f9a044e75bcc73be416d800ad648","hint":"sign again for this chain; the chain id is part of what is signed"}}}
>> {"jsonrpc":"2.0","id":1,"method":"tx","params":["f0edf0a2207e9485a0a5ce8aedf9d76f402009872fb15ba37b7e1c47f4bc8ef9"]}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Not found","data":{"reason":"unknown_transaction","seen":"f0edf0a2207e9485a0a5ce8aedf9d76f402009872fb15ba37b7e1c47f4bc8ef9"}}}
>> {"jsonrpc":"2.0","id":1,"method":"mempool"}
<< {"jsonrpc":"2.0","id":1,"result":{"transactions":0,"byte_count":0,"senders":0,"pinned_bodies":0,"is_full":false,"lowest_fee_rate":0,"transactions_max":20000,"bytes_max":67108864,"per_sender_max":1024,"first":[]}}
>> {"jsonrpc":"2.0","id":1,"method":"tx_wait","params":{"tx_id":"f0edf0a2207e9485a0a5ce8aedf9d76f402009872fb15ba37b7e1c47f4bc8ef9","timeout_ms":0}}
<< {"jsonrpc":"2.0","id":1,"result":{"tx_id":"f0edf0a2207e9485a0a5ce8aedf9d76f402009872fb15ba37b7e1c47f4bc8ef9","status":"unknown","height":null,"index":null,"receipt":null,"provisional":false}}
## block
>> {"jsonrpc":"2.0","id":1,"method":"tx_wait","params":{"tx_id":"f0edf0a2207e9485a0a5ce8aedf9d76f402009872fb15ba37b7e1c47f4bc8ef9"}}
<< {"jsonrpc":"2.0","id":1,"result":{"tx_id":"f0edf0a2207e9485a0a5ce8aedf9d76f402009872fb15ba37b7e1c47f4bc8ef9","status":"unknown","height":null,"index":null,"receipt":null,"provisional":false}}
>> {"jsonrpc":"2.0","id":1,"method":"tx_submit","params":{"tx":"9296c41500cbbb21a23841a2ecb2279e75f4e3725aab784c5300cf00000197742a03c0cd0b0e919301c415008177407fa11b92449c7a4e17af06684d44f1d242ce006acfc0c4009192c420706f00b782e74dac26f5c0f0a71b93c535c76a9694b7a098742e4ad644905db5c4402d629fe621fe4e3550de032e596f1e6f2f27b7593e5457a4ff0c1ab9fb1d58b97dc28beee1f4a18e0f60c9f19f5aa6788dbc8d3230b18554ab5ff78f01c01500","wait":"final"}}
<< {"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"Transaction rejected","data":{"reason":"bad_signature","seen":"198712c6f69043af39a9cb8a09be5aaf1b61f9a044e75bcc73be416d800ad648","hint":"sign again for this chain; the chain id is part of what is signed"}}}
