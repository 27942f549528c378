package install

import (
	"fmt"
	"strings"

	"thatch/catalog"
)

// maxLine is the longest command line that Windows takes, in UTF-16 units with the closing zero.
const maxLine = 32767

// commandLine joins the program, what the type asks for, and the vendor's arguments, which stay as the vendor wrote
// them: programs on Windows parse their command lines themselves, and not all in one way.
func commandLine(program string, job Job) (string, error) {
	quoted, err := quotePath(program)
	if err != nil {
		return "", err
	}
	var line string
	switch job.Type {
	case catalog.EXE:
		line = quoted
	case catalog.MSI, catalog.MSP:
		file, err := quotePath(job.File)
		if err != nil {
			return "", err
		}
		action := "/i"
		if job.Type == catalog.MSP {
			action = "/p"
		}
		line = quoted + " " + action + " " + file + " /qn /norestart"
	default:
		return "", fmt.Errorf("%w: installer type %.20q is not known here", ErrPlatform, job.Type)
	}
	if arguments := strings.TrimSpace(job.Arguments); arguments != "" {
		line += " " + arguments
	}
	if strings.ContainsAny(line, "\x00\r\n") || len(line) >= maxLine {
		return "", fmt.Errorf("%w: its command line holds a line break, or more than %d characters", ErrInvalid, maxLine)
	}
	return line, nil
}

// quotePath puts quotes around a path; no path on Windows can hold one.
func quotePath(path string) (string, error) {
	if strings.Contains(path, `"`) {
		return "", fmt.Errorf("%w: path %q holds a quotation mark", ErrInvalid, path)
	}
	return `"` + path + `"`, nil
}

// Split cuts arguments into words as programs of the Microsoft C runtime do: at spaces and tabs outside double quotes,
// with \" for a quotation mark and backslashes doubled only before one.
func Split(arguments string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted, started, backslashes := false, false, 0
	flush := func(n int) {
		word.WriteString(strings.Repeat(`\`, n))
		backslashes = 0
	}
	for _, r := range arguments {
		switch {
		case r == '\\':
			backslashes++
			started = true
		case r == '"':
			odd := backslashes%2 == 1
			flush(backslashes / 2)
			if odd {
				word.WriteRune('"')
			} else {
				quoted = !quoted
			}
			started = true
		case (r == ' ' || r == '\t') && !quoted:
			flush(backslashes)
			if started {
				words = append(words, word.String())
				word.Reset()
				started = false
			}
		default:
			flush(backslashes)
			word.WriteRune(r)
			started = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("%w: a quotation mark in its arguments is never closed", ErrInvalid)
	}
	flush(backslashes)
	if started {
		words = append(words, word.String())
	}
	return words, nil
}
