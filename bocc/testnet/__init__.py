"""Local networks: several nodes of one development chain as processes of this machine.

- `record`: testnet.json, by which every later command finds the network
- `layout`: homes, keys, genesis and configuration of the nodes
- `ports`: free ports by the rule base + 10 x node + offset
- `process`: start, recognise and stop node processes
- `admin`: the Unix-socket interface of development nodes that cuts links
- `health`: whether a node answers and is ready
- `network`: the operations of `bocc testnet`
"""
