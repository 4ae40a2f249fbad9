package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"offload-e2e/harness/check"
	"offload-e2e/harness/document"
	"offload-e2e/harness/report"
)

func newExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [code]",
		Short: "Tell what a diagnosis means, how it is met, and how to mend it",
		Long: `explain tells of a diagnosis, as reports name it (cache.key-name): what it means,
what people see of it, how to mend it, and which check proves it. Without a code it
lists all of them, by layer: what stands higher in the list explains what is lower.`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return slices.Sorted(maps.Keys(check.Catalogue)), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			pages, err := check.Pages()
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if len(args) == 0 {
				return listDiagnoses(out, pages)
			}
			p, known := pages[args[0]]
			if !known {
				codes := slices.Sorted(maps.Keys(pages))
				return &userError{Heading: "There is no such diagnosis", Sentence: fmt.Sprintf("%q is none; %s", args[0], document.Suggest(args[0], codes)),
					WayOut: "See which there are: .bin/offload-e2e explain", Exit: exitUsage}
			}
			return explainDiagnosis(out, p, report.LookOf(out, os.Getenv).Color)
		},
	}
}

// listDiagnoses writes all codes by layer, with a line for each.
func listDiagnoses(out io.Writer, pages map[string]check.Page) error {
	var b strings.Builder
	for _, layer := range check.Layers {
		fmt.Fprintf(&b, "%s\n", layer)
		for _, code := range check.CodesOf(layer) {
			fmt.Fprintf(&b, "  %-29s %s\n", code, plain(pages[code].Gist()))
		}
	}
	fmt.Fprint(&b, "\nMore of one: offload-e2e explain <code>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// explainDiagnosis writes a page for a terminal.
func explainDiagnosis(out io.Writer, p check.Page, colour bool) error {
	bold := func(s string) string {
		if colour {
			return "\x1b[1m" + s + "\x1b[0m"
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  (%s)\n", bold(p.Code), p.Layer)
	for paragraph := range strings.SplitSeq(p.Text, "\n\n") {
		label, rest, labelled := strings.Cut(strings.TrimPrefix(paragraph, "**"), "** ")
		if !labelled || !strings.HasPrefix(paragraph, "**") {
			fmt.Fprintf(&b, "\n%s\n", wrapped(plain(paragraph), "  "))
			continue
		}
		fmt.Fprintf(&b, "\n%s\n%s\n", bold(label), wrapped(rest, "  "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// plain is Markdown without the marks of code.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }

// wrapped breaks a text into indented lines; what is code stays as it is, to be copied.
func wrapped(text, indent string) string {
	const width = 88
	var b strings.Builder
	length := 0
	for word := range strings.FieldsSeq(text) {
		if length+len(word)+1 > width && length > 0 {
			b.WriteString("\n")
			length = 0
		}
		if length == 0 {
			b.WriteString(indent)
		} else {
			b.WriteString(" ")
		}
		b.WriteString(word)
		length += len(word) + 1
	}
	return b.String()
}
