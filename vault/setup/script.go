package setup

import (
	"fmt"
	"strconv"
	"strings"
)

// The commands of a step are a piece of a script for a POSIX shell that comes to the
// same as ensure: it asks before it makes what can be made once only, raises and never
// lowers, and leaves alone what ensure leaves alone. What it leaves alone it says, and
// remembers in $problems, so that the script fails in the end, as Apply does.

// opening is where the script begins. The format that a person prefers would change
// what the script reads.
const opening = `#!/bin/sh
# What "refresher vault setup" does, as commands of the vault program. It asks the Vault of
# VAULT_ADDR, with VAULT_TOKEN or the token of "vault login". It can be run again: it changes
# nothing that is as it should be, and repairs what has drifted.
set -eu
unset VAULT_FORMAT
problems=
`

// closing is where it ends.
const closing = `
[ -z "$problems" ] || exit 1
`

// refuse says why the script cannot go on, and ends it.
func refuse(why string) string { return "echo " + quoted(why) + " >&2; exit 1" }

// named is what the keys of a JSON object are looked for by in a shell's pattern. What
// people wrote cannot look like it: its quotes are escaped.
func named(mount string) string { return `*'"` + mount + `/": {'*` }

// storeCommands mount the store unless it is there, and refuse what the plan refuses.
func storeCommands(mount string) []string {
	return []string{
		"mounts=$(vault secrets list -format=json)",
		"case $mounts in",
		named(mount) + ") ;;",
		"*)",
		"	vault secrets enable -path=" + mount + " -version=2 kv",
		"	# A new store answers with an error until it is ready.",
		"	waited=0",
		fmt.Sprintf(`	until vault read %s/config >/dev/null 2>&1 || [ "$waited" -ge %d ]; do`, mount, int(readyLimit.Seconds())),
		"		sleep 1",
		"		waited=$((waited + 1))",
		"	done",
		"	;;",
		"esac",
		"store=$(vault read -format=json -field=" + mount + "/ sys/mounts)",
		`case $store in *'"type": "kv"'*) ;; *) ` + refuse(mount+"/ is not of type kv: set vault.mount to another path") + " ;; esac",
		`case $store in *'"version": "2"'*) ;; *) ` + refuse(mount+"/ is a KV store of version 1, which keeps no versions and knows no check-and-set: "+
			"set vault.mount to another path") + " ;; esac",
	}
}

// configCommands have the store keep enough versions, and delete none by itself.
func configCommands(path string, change bool) []string {
	answer := fmt.Sprintf(`	echo "%s: delete_version_after is $after: Vault deletes the current versions too. Others may rely on it, so it is left alone" >&2; problems=1`, path)
	if change {
		answer = "	vault write " + path + " delete_version_after=0s"
	}
	return []string{
		"versions=$(vault read -field=max_versions " + path + ")",
		fmt.Sprintf(`if [ "$versions" -lt %d ]; then`, keptVersions),
		fmt.Sprintf("	vault write %s max_versions=%d", path, keptVersions),
		"fi",
		"after=$(vault read -field=delete_version_after " + path + ")",
		"case $after in",
		"0s | -*) ;;",
		"*)",
		answer,
		"	;;",
		"esac",
	}
}

// methodCommands enable a login method unless it is there.
func methodCommands(kind, mount string) []string {
	return []string{
		"methods=$(vault auth list -format=json)",
		"case $methods in",
		named(mount) + ") ;;",
		"*) vault auth enable -path=" + mount + " " + kind + " ;;",
		"esac",
		"method=$(vault read -format=json -field=" + mount + "/ sys/auth)",
		`case $method in *'"type": "` + kind + `"'*) ;; *) ` + refuse("auth/"+mount+" is not of type "+kind+": name another path for it") + " ;; esac",
	}
}

// clusterCommands say which cluster a Kubernetes login trusts: only if nobody has, since
// others may rely on it.
func (p *Plan) clusterCommands(config object, k Kubernetes, outside bool) []string {
	commands := []string{"ca=", "reviewer="}
	write := fmt.Sprintf(`vault write %s kubernetes_host=%s disable_local_ca_jwt=%t kubernetes_ca_cert="$ca"`, config.path, quoted(k.Host), outside)
	have := [][2]string{{"kubernetes_host", quoted(k.Host)}, {"disable_local_ca_jwt", strconv.FormatBool(outside)}, {"kubernetes_ca_cert", `"$ca"`}}
	if k.CAFile != "" {
		commands[0] += "$(cat " + quoted(k.CAFile) + ")"
	}
	if k.ReviewerTokenFile != "" {
		commands[1] += "$(cat " + quoted(k.ReviewerTokenFile) + ")"
		// Not as an argument, which everybody on the machine could read.
		write = `printf %s "$reviewer" | ` + write + " token_reviewer_jwt=-"
		have = append(have, [2]string{"token_reviewer_jwt_set", "true"})
	}
	if !config.leave {
		return append(commands, write)
	}
	commands = append(commands, "if have=$(vault read "+config.path+" 2>&1); then", "	differs=")
	for _, field := range have {
		commands = append(commands, fmt.Sprintf(`	[ "$(vault read -field=%s %s)" = %s ] || differs="$differs %s"`, field[0], config.path, field[1], field[0]))
	}
	return append(commands,
		`	if [ -n "$differs" ]; then`,
		"		echo "+quoted(config.what+": it differs in")+`"$differs. Others may rely on it, so it is left alone" >&2; problems=1`,
		"	fi",
		"else",
		"	case $have in",
		`	*"No value found at "*) `+write+" ;;",
		`	*) echo "$have" >&2; exit 1 ;;`,
		"	esac",
		"fi")
}

// secretIDCommands make a secret ID unless there is a file. First the file: a secret ID
// that cannot be kept would live on in Vault.
func secretIDCommands(path, name string) []string {
	file := quoted(name)
	return []string{
		"if [ ! -e " + file + " ]; then",
		"	(umask 077; set -o noclobber; : >" + file + ")",
		"	vault write -force -field=secret_id " + path + " >" + file + " || { rm -f " + file + "; exit 1; }",
		"fi",
	}
}

// escrowKeyCommands say why there are none.
func escrowKeyCommands() []string {
	return strings.Split(`# No command of the vault program makes one: it is a pair of keys, which is generated inside
# of Refresher, so that the private one passes through no file and no terminal. The first
# replica that finds none makes it by itself. To have it before, or if none may:
#   refresher vault escrow-key`, "\n")
}
