// Package disk tells how full the disk is that a folder lies on.
package disk

import "fmt"

// Space is the room on a disk, in bytes.
type Space struct {
	Free  int64 `json:"free"` // that this program may use
	Total int64 `json:"total"`
}

// Of is the disk that a folder lies on.
func Of(folder string) (Space, error) {
	s, err := of(folder)
	if err != nil {
		return s, fmt.Errorf("see how full the disk of %s is: %w", folder, err)
	}
	return s, nil
}
