# recovery: for an operator who repairs a grant that somebody deleted or broke.
# Give it for the time of the repair: whoever can read grants can act for every tenant.

# To look at versions and to put an older one back ("vault kv rollback"). Vault takes
# a write only with check-and-set, so that it cannot overwrite what the service writes
# meanwhile. No "create": a grant begins with a seed in credentials/.
path "secret/data/refresher/grants/*" { capabilities = ["read", "update"] }

# To bring deleted versions back.
path "secret/undelete/refresher/grants/*" { capabilities = ["update"] }

# Which versions there are, and when each was written.
path "secret/metadata/refresher/grants/*" { capabilities = ["list", "read"] }

# To bring a deleted escrow key back, without being able to read it.
path "secret/undelete/refresher/escrow-keys/*" { capabilities = ["update"] }

# To add a key ("refresher vault escrow-key").
path "secret/data/refresher/escrow-keys/*" { capabilities = ["create"] }

# Which keys there are, and which versions of them.
path "secret/metadata/refresher/escrow-keys/*" { capabilities = ["list", "read"] }
