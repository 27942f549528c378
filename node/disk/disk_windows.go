package disk

import (
	"math"

	"golang.org/x/sys/windows"
)

func of(folder string) (Space, error) {
	name, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return Space{}, err
	}
	var free, total, whole uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, &total, &whole); err != nil {
		return Space{}, err
	}
	return Space{Free: int64(min(free, math.MaxInt64)), Total: int64(min(total, math.MaxInt64))}, nil
}
