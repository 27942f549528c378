package facts

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows Management Instrumentation is COM. Only what a query needs is here: IWbemLocator connects to a namespace,
// IWbemServices runs the query, IEnumWbemClassObject says whether there is a first row (wbemcli.h).
var (
	ole32                    = windows.NewLazySystemDLL("ole32.dll")
	procCoCreateInstance     = ole32.NewProc("CoCreateInstance")
	procCoInitializeSecurity = ole32.NewProc("CoInitializeSecurity")
	procCoSetProxyBlanket    = ole32.NewProc("CoSetProxyBlanket")
	oleaut32                 = windows.NewLazySystemDLL("oleaut32.dll")
	procSysAllocString       = oleaut32.NewProc("SysAllocString")
	procSysFreeString        = oleaut32.NewProc("SysFreeString")

	classLocator     = windows.GUID{Data1: 0x4590f811, Data2: 0x1d3a, Data3: 0x11d0, Data4: [8]byte{0x89, 0x1f, 0x00, 0xaa, 0x00, 0x4b, 0x2e, 0x24}}
	interfaceLocator = windows.GUID{Data1: 0xdc12a687, Data2: 0x737f, Data3: 0x11cf, Data4: [8]byte{0x88, 0x4d, 0x00, 0xaa, 0x00, 0x4b, 0x2e, 0x24}}
)

// Places of methods in the tables of the interfaces.
const (
	methodRelease       = 2
	methodConnectServer = 3  // IWbemLocator
	methodExecQuery     = 20 // IWbemServices
	methodNext          = 4  // IEnumWbemClassObject
)

const (
	defaultNamespace = `root\cimv2`
	rowTimeout       = 30 * time.Second // for the first row
	queryTimeout     = 90 * time.Second // for everything, when WMI itself hangs
)

// HRESULTs that are answers.
const (
	statusFalse         = 1 // no more rows
	statusTimedOut      = 0x00040004
	errWBEMNotFound     = 0x80041002
	errWBEMAccessDenied = 0x80041003
	errWBEMNamespace    = 0x8004100e
	errWBEMClass        = 0x80041010
	errWBEMQuery        = 0x80041017
)

type hresult uint32

func (h hresult) Error() string {
	switch h {
	case errWBEMNamespace:
		return "this computer has no such namespace"
	case errWBEMClass, errWBEMNotFound:
		return "this computer has no such class"
	case errWBEMQuery:
		return "WMI does not understand the query"
	case errWBEMAccessDenied:
		return "access denied"
	case statusTimedOut:
		return fmt.Sprintf("no answer within %v", rowTimeout)
	}
	return fmt.Sprintf("HRESULT 0x%08X", uint32(h))
}

// object is a COM interface: a pointer to the table of its methods.
type object struct{ methods *[64]uintptr }

func (o *object) call(method int, arguments ...uintptr) hresult {
	status, _, _ := syscall.SyscallN(o.methods[method], append([]uintptr{uintptr(unsafe.Pointer(o))}, arguments...)...)
	return hresult(status)
}

func (o *object) release() {
	if o != nil {
		o.call(methodRelease)
	}
}

// text is a BSTR.
func text(value string) (bstr uintptr, free func(), err error) {
	wide, err := windows.UTF16PtrFromString(value)
	if err != nil {
		return 0, nil, err
	}
	bstr, _, _ = procSysAllocString.Call(uintptr(unsafe.Pointer(wide)))
	if bstr == 0 {
		return 0, nil, errors.New("out of memory")
	}
	return bstr, func() { _, _, _ = procSysFreeString.Call(bstr) }, nil
}

// winWMI asks WMI. COM wants a thread of its own that has been set up for it: all queries go there, one by one.
type winWMI struct{}

type wmiQuestion struct {
	namespace, wql string
	answer         chan wmiAnswer
}

type wmiAnswer struct {
	rows bool
	err  error
}

var wmiThread = sync.OnceValue(func() chan<- wmiQuestion {
	questions := make(chan wmiQuestion)
	go func() {
		runtime.LockOSThread() // for ever: the thread has state of COM
		w := &wmi{services: map[string]*object{}, broken: setUpCOM()}
		for question := range questions {
			rows, err := w.query(question.namespace, question.wql)
			question.answer <- wmiAnswer{rows, err}
		}
	}()
	return questions
})

// Query implements rule.WMI.
func (winWMI) Query(namespace, wql string) (bool, error) {
	if namespace == "" {
		namespace = defaultNamespace
	}
	question := wmiQuestion{strings.ReplaceAll(namespace, "/", `\`), wql, make(chan wmiAnswer, 1)}
	limit := time.NewTimer(queryTimeout)
	defer limit.Stop()
	select {
	case wmiThread() <- question:
	case <-limit.C:
		return false, untold("WMI %s: it is still busy with an earlier query", namespace)
	}
	select {
	case answer := <-question.answer:
		if answer.err != nil {
			return false, untold("WMI %s: %w", namespace, answer.err)
		}
		return answer.rows, nil
	case <-limit.C:
		return false, untold("WMI %s: no answer within %v", namespace, queryTimeout)
	}
}

// wmi lives on the thread.
type wmi struct {
	broken   error
	locator  *object
	services map[string]*object // by namespace
}

func setUpCOM() error {
	if err := windows.CoInitializeEx(0, windows.COINIT_MULTITHREADED); err != nil && !errors.Is(err, syscall.Errno(statusFalse)) {
		return fmt.Errorf("set up COM: %w", err)
	}
	const byDefault, impersonate = 0, 3
	// Whoever was first in the process has decided already; that is well.
	_, _, _ = procCoInitializeSecurity.Call(0, ^uintptr(0), 0, 0, byDefault, impersonate, 0, 0, 0)
	return nil
}

func (w *wmi) connect(namespace string) (*object, error) {
	key := strings.ToLower(namespace)
	if services := w.services[key]; services != nil {
		return services, nil
	}
	if w.broken != nil {
		return nil, w.broken
	}
	if w.locator == nil {
		const inProcess = 1
		status, _, _ := procCoCreateInstance.Call(uintptr(unsafe.Pointer(&classLocator)), 0, inProcess,
			uintptr(unsafe.Pointer(&interfaceLocator)), uintptr(unsafe.Pointer(&w.locator)))
		if hresult(status) != 0 || w.locator == nil {
			w.locator = nil
			return nil, fmt.Errorf("it is not there: %w", hresult(status))
		}
	}
	name, free, err := text(namespace)
	if err != nil {
		return nil, err
	}
	defer free()
	var services *object
	const giveUp = 0x80 // WBEM_FLAG_CONNECT_USE_MAX_WAIT: two minutes at most
	if status := w.locator.call(methodConnectServer, name, 0, 0, 0, giveUp, 0, 0, uintptr(unsafe.Pointer(&services))); status != 0 {
		return nil, status
	}
	const winNT, noAuthorisation, perCall, impersonate = 10, 0, 3, 3
	_, _, _ = procCoSetProxyBlanket.Call(uintptr(unsafe.Pointer(services)), winNT, noAuthorisation, 0, perCall, impersonate, 0, 0)
	w.services[key] = services
	return services, nil
}

// query asks whether there is a first row.
func (w *wmi) query(namespace, wql string) (bool, error) {
	services, err := w.connect(namespace)
	if err != nil {
		return false, err
	}
	language, freeLanguage, err := text("WQL")
	if err != nil {
		return false, err
	}
	defer freeLanguage()
	query, freeQuery, err := text(wql)
	if err != nil {
		return false, err
	}
	defer freeQuery()
	var rows *object
	const forwardOnly, atOnce = 0x20, 0x10
	if status := services.call(methodExecQuery, language, query, forwardOnly|atOnce, 0, uintptr(unsafe.Pointer(&rows))); status != 0 {
		return false, w.failed(namespace, status)
	}
	defer rows.release()
	var row *object
	var count uint32
	status := rows.call(methodNext, uintptr(rowTimeout/time.Millisecond), 1, uintptr(unsafe.Pointer(&row)), uintptr(unsafe.Pointer(&count)))
	defer row.release()
	switch {
	case status == 0 && count > 0:
		return true, nil
	case status == 0 || status == statusFalse:
		return false, nil
	}
	return false, w.failed(namespace, status)
}

// failed drops a connection that may be broken: WMI's own service was restarted.
func (w *wmi) failed(namespace string, status hresult) error {
	const wbem = 0x80041000
	if uint32(status)&0xfffff000 != wbem && status != statusTimedOut {
		key := strings.ToLower(namespace)
		w.services[key].release()
		delete(w.services, key)
	}
	return status
}
