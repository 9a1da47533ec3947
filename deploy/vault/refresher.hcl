# refresher: for the service, and for nobody else.
# It reads what others store and writes what it keeps itself. It can delete nothing,
# so that neither a mistake nor a stolen login destroys a grant.

# Credentials belong to people: the service never writes one.
path "secret/data/refresher/credentials/*" { capabilities = ["read"] }

# A scan lists tenants and names.
path "secret/metadata/refresher/credentials/*" { capabilities = ["list"] }

# Grants are the service's own: the living refresh tokens.
path "secret/data/refresher/grants/*" { capabilities = ["create", "read", "update"] }

# Before a grant's first write the service has Vault require check-and-set for it.
# Nothing else may be set there: not delete_version_after, not max_versions.
path "secret/metadata/refresher/grants/*" {
  capabilities = ["create", "update"]
  allowed_parameters = {
    "cas_required" = [true]
  }
}

# Tokens are what readers read.
path "secret/data/refresher/tokens/*" { capabilities = ["create", "read", "update"] }

# The keys that open sealed answers. The first service that finds none makes one;
# none is ever overwritten.
path "secret/data/refresher/escrow-keys/*" { capabilities = ["create", "read"] }

# Which keys there are.
path "secret/metadata/refresher/escrow-keys/*" { capabilities = ["list"] }

# To warn if the mount deletes versions by itself.
path "secret/config" { capabilities = ["read"] }
