# onboarding: for people and services that store credentials
# ("refresher credentials put, import, pause, resume, delete", Terraform). It sees
# neither grants nor tokens nor keys, so that it cannot call a provider as a tenant
# whose secrets it did not bring. To see how credentials fare, add the reader's.

# Read, because a change keeps the fields that it does not name and is written with
# check-and-set; whoever only ever stores whole documents does without. Delete marks
# the last version as deleted, and no more.
path "secret/data/refresher/credentials/*" { capabilities = ["create", "read", "update", "delete"] }

# To bring a deleted one back.
path "secret/undelete/refresher/credentials/*" { capabilities = ["update"] }

# Which credentials there are. Never "delete" here: it destroys all versions, and a
# credential stored again starts at version 1, which looks like one seen already.
path "secret/metadata/refresher/credentials/*" { capabilities = ["list"] }
