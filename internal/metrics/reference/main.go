// Command reference writes the metrics as tables in Markdown; "make generate"
// makes docs/metrics.md of them.
package main

import (
	"fmt"
	"os"

	"refresher/internal/metrics"
)

func main() {
	if err := metrics.WriteReference(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
