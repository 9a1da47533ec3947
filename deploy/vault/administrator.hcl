# administrator: for whoever runs "refresher vault setup", if that is not root.
# It can write policies, so treat it like root's, and take it away afterwards.

# Which secrets engines there are.
path "sys/mounts" { capabilities = ["read"] }

# To mount the store.
path "sys/mounts/secret" { capabilities = ["create", "update"] }

# To have the store keep what is written.
path "secret/config" { capabilities = ["create", "read", "update"] }

# The policies, whose names begin so.
path "sys/policies/acl/refresher*" { capabilities = ["create", "read", "update"] }

# Which ways to log in there are.
path "sys/auth" { capabilities = ["read"] }

# To enable the Kubernetes login.
path "sys/auth/kubernetes" { capabilities = ["create", "update", "sudo"] }

# Which cluster it trusts.
path "auth/kubernetes/config" { capabilities = ["create", "read", "update"] }

# Who may log in.
path "auth/kubernetes/role/refresher*" { capabilities = ["create", "read", "update"] }

# To enable the AppRole login.
path "sys/auth/approle" { capabilities = ["create", "update", "sudo"] }

# The role, its ID, and its secret IDs.
path "auth/approle/role/refresher*" { capabilities = ["create", "read", "update"] }

# To make the first escrow key.
path "secret/data/refresher/escrow-keys/*" { capabilities = ["create"] }

# To see whether there is one.
path "secret/metadata/refresher/escrow-keys/*" { capabilities = ["list"] }
