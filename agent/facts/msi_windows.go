package facts

import (
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"thatch/catalog/rule"
)

var (
	msi                       = windows.NewLazySystemDLL("msi.dll")
	procMsiQueryProductState  = msi.NewProc("MsiQueryProductStateW")
	procMsiGetProductInfo     = msi.NewProc("MsiGetProductInfoW")
	procMsiQueryFeatureState  = msi.NewProc("MsiQueryFeatureStateW")
	procMsiGetComponentPath   = msi.NewProc("MsiGetComponentPathW")
	procMsiGetPatchInfoEx     = msi.NewProc("MsiGetPatchInfoExW")
	procMsiEnumRelatedProduct = msi.NewProc("MsiEnumRelatedProductsW")
)

// States of products, features and components (msi.h, INSTALLSTATE) that count as installed.
const (
	stateLocal   = 3
	stateSource  = 4
	stateDefault = 5
)

// Errors of msi.dll that are answers (winerror.h).
const (
	errUnknownProduct  = 1605
	errUnknownFeature  = 1606
	errUnknownProperty = 1608
	errUnknownPatch    = 1647
	errNoMoreItems     = 259
	errMoreData        = 234
	errInvalidArgument = 87
)

func present(state uintptr) bool {
	s := int32(state)
	return s == stateLocal || s == stateSource || s == stateDefault
}

// winInstaller asks msi.dll.
type winInstaller struct{}

func wideText(text string) (uintptr, *uint16, error) {
	p, err := windows.UTF16PtrFromString(text)
	if err != nil {
		return 0, nil, untold("%q: %w", text, err)
	}
	return uintptr(unsafe.Pointer(p)), p, nil
}

func loaded(proc *windows.LazyProc) error {
	if err := proc.Find(); err != nil {
		return untold("Windows Installer: %w", err)
	}
	return nil
}

// Product implements rule.Installer.
func (w winInstaller) Product(code string) (rule.Product, bool, error) {
	if err := loaded(procMsiQueryProductState); err != nil {
		return rule.Product{}, false, err
	}
	name, err := syscall.UTF16PtrFromString(code)
	if err != nil {
		return rule.Product{}, false, untold("product %q: %w", code, err)
	}
	state, _, _ := procMsiQueryProductState.Call(uintptr(unsafe.Pointer(name)))
	if !present(state) {
		return rule.Product{}, false, nil
	}
	p := rule.Product{Code: code}
	if p.Version, err = productInfo(code, "VersionString"); err != nil {
		return rule.Product{}, false, err
	}
	language, err := productInfo(code, "Language")
	if err != nil {
		return rule.Product{}, false, err
	}
	p.Language, _ = strconv.Atoi(language)
	return p, true, nil
}

func productInfo(code, property string) (string, error) {
	product, err := syscall.UTF16PtrFromString(code)
	if err != nil {
		return "", untold("product %q: %w", code, err)
	}
	name, err := syscall.UTF16PtrFromString(property)
	if err != nil {
		return "", untold("property %q: %w", property, err)
	}
	return grow(func(buffer *uint16, size *uint32) uintptr {
		status, _, _ := procMsiGetProductInfo.Call(uintptr(unsafe.Pointer(product)), uintptr(unsafe.Pointer(name)),
			uintptr(unsafe.Pointer(buffer)), uintptr(unsafe.Pointer(size)))
		return status
	}, code+" "+property)
}

// grow calls a function of msi.dll that writes text into a buffer until the buffer is large enough.
func grow(call func(buffer *uint16, size *uint32) uintptr, what string) (string, error) {
	size := uint32(256)
	for range 4 {
		buffer := make([]uint16, size)
		switch status := call(&buffer[0], &size); status {
		case 0:
			return windows.UTF16ToString(buffer), nil
		case errUnknownProperty, errUnknownProduct, errUnknownPatch:
			return "", nil
		case errMoreData:
			size++ // the answer does not count the closing zero
		default:
			return "", untold("Windows Installer, %s: %w", what, syscall.Errno(status))
		}
	}
	return "", untold("Windows Installer, %s: it grows faster than it is read", what)
}

// pair calls a function of msi.dll with two texts.
func pair(proc *windows.LazyProc, product, part string, more ...uintptr) (uintptr, error) {
	if err := loaded(proc); err != nil {
		return 0, err
	}
	first, keep1, err := wideText(product)
	if err != nil {
		return 0, err
	}
	second, keep2, err := wideText(part)
	if err != nil {
		return 0, err
	}
	state, _, _ := proc.Call(append([]uintptr{first, second}, more...)...)
	runtime.KeepAlive(keep1)
	runtime.KeepAlive(keep2)
	return state, nil
}

// Feature implements rule.Installer.
func (w winInstaller) Feature(product, feature string) (bool, error) {
	state, err := pair(procMsiQueryFeatureState, product, feature)
	return err == nil && present(state), err
}

// Component implements rule.Installer.
func (w winInstaller) Component(product, component string) (bool, error) {
	var size uint32
	state, err := pair(procMsiGetComponentPath, product, component, 0, uintptr(unsafe.Pointer(&size)))
	// MOREDATA (-3) is what a present component answers when there is no room for its path.
	const moreData = -3
	return err == nil && (present(state) || int32(state) == moreData), err
}

// Patch implements rule.Installer. A patch may be applied for the machine or for the user that the agent runs as.
func (w winInstaller) Patch(product, patch string) (bool, error) {
	if err := loaded(procMsiGetPatchInfoEx); err != nil {
		return false, err
	}
	texts := make([]*uint16, 3)
	for i, text := range []string{patch, product, "State"} {
		p, err := syscall.UTF16PtrFromString(text)
		if err != nil {
			return false, untold("patch %q: %w", text, err)
		}
		texts[i] = p
	}
	const machine, userManaged, userUnmanaged, applied = 4, 1, 2, "1"
	for _, scope := range []uintptr{machine, userManaged, userUnmanaged} {
		state, err := grow(func(buffer *uint16, size *uint32) uintptr {
			status, _, _ := procMsiGetPatchInfoEx.Call(uintptr(unsafe.Pointer(texts[0])), uintptr(unsafe.Pointer(texts[1])), 0, scope,
				uintptr(unsafe.Pointer(texts[2])), uintptr(unsafe.Pointer(buffer)), uintptr(unsafe.Pointer(size)))
			return status
		}, patch)
		if err != nil {
			return false, err
		}
		if state == applied {
			return true, nil
		}
	}
	return false, nil
}

// Related implements rule.Installer.
func (w winInstaller) Related(upgradeCode string) ([]rule.Product, error) {
	if err := loaded(procMsiEnumRelatedProduct); err != nil {
		return nil, err
	}
	code, err := syscall.UTF16PtrFromString(upgradeCode)
	if err != nil {
		return nil, untold("upgrade code %q: %w", upgradeCode, err)
	}
	var products []rule.Product
	for index := uintptr(0); ; index++ {
		buffer := make([]uint16, 39) // a GUID in braces and a zero
		status, _, _ := procMsiEnumRelatedProduct.Call(uintptr(unsafe.Pointer(code)), 0, index, uintptr(unsafe.Pointer(&buffer[0])))
		switch status {
		case 0:
			product, installed, err := w.Product(windows.UTF16ToString(buffer))
			if err != nil {
				return nil, err
			}
			if installed {
				products = append(products, product)
			}
		case errNoMoreItems:
			return products, nil
		case errInvalidArgument: // no upgrade code that could exist
			return nil, nil
		default:
			return nil, untold("products related to %s: %w", upgradeCode, syscall.Errno(status))
		}
	}
}
