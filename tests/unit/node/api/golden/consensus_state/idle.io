// Progress of agreement.
>> {"jsonrpc":"2.0","id":1,"method":"consensus_state"}
<< {"jsonrpc":"2.0","id":1,"result":{"epoch":1,"view":4,"leader":"boccval1qz0lr3tafd5w0danlm7la9rjthywlg5m2uy2kev3","failed_views":0,"timeout_ms":1000,"is_halted":false,"height":4,"block_hash":"d3a9e3c8f8c541c4314c560a9638ca6a174d91d9b4c691fcffa2e57b41e55abb","total_power":40000002,"quorum_power":26666669,"views":[{"view":4,"leader":"boccval1qz0lr3tafd5w0danlm7la9rjthywlg5m2uy2kev3","proposal":null,"certificates":[],"votes":[{"kind":"nullify","block_hash":null,"power":10000000}]}]}}
