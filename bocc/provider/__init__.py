"""What a provider of confidential hardware does beside running it: bring vendors' documents to the chain, prove the machine, renew.

documents   a folder or file of vendor documents, split into messages in the order in which the chain can check them
posting     those messages through a node, leaving out what the chain has
attesting   challenge, report data and the message that proves an enclave, whatever hardware it runs on
evidence    evidence of real hardware in files, in the form in which the chain takes it
software    the software TEE: a simulated machine with its documents, for development chains alone
place       what a software provider keeps in its home
rules       provider.toml: which orders are taken, on which terms
orders      what orders call for, decided from their records and the time alone
records     records of the state, read through a node
tasks       orders and what belongs to them, read from records
inputs      arguments and inputs of orders, read from files and compared with their digests
granted     capsules of granted keys, found in transactions
worker      the sample worker: what the software TEE does for an order
serving     the rounds in which orders are taken, started, kept alive and finished
agent       a simulated provider that keeps itself attested and serves orders; `python -m bocc.provider` runs it
"""
