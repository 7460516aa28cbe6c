package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// luaLimit is how long Argo CD lets a script run.
const luaLimit = time.Second

// healthStatuses are the only ones that Argo CD takes from a script.
var healthStatuses = []string{"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}

// scriptOf is where Argo CD's repository has the health script of a kind.
func scriptOf(folder string, kind schema.GroupVersionKind) string {
	return filepath.Join(folder, kind.Group, kind.Kind, "health.lua")
}

// runHealth runs a health script over an object as Argo CD does for a script from argocd-cm: the same interpreter, the object
// as the global obj, a second of time, and of Lua's libraries only the basic one and table. Scripts in Argo CD's own
// repository have all libraries; ours should do in both places. The os library that Argo CD adds is absent here: a health
// that depends on the clock is none.
func runHealth(script string, object map[string]any) (verdict, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		call := lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return verdict{}, err
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), luaLimit)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return verdict{}, err
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return verdict{}, errors.New("the script returns no table")
	}
	return fromLua(answer)
}

func fromLua(answer *lua.LTable) (verdict, error) {
	status, message := answer.RawGetString("status"), answer.RawGetString("message")
	if !slices.Contains(healthStatuses, lua.LVAsString(status)) {
		return verdict{}, fmt.Errorf("no health status of Argo CD: %v", status)
	}
	if message.Type() != lua.LTString && message.Type() != lua.LTNil {
		return verdict{}, fmt.Errorf("no message: %v", message)
	}
	return verdict{lua.LVAsString(status), lua.LVAsString(message)}, nil
}

// toLua turns what JSON gives into values of Lua. Both kinds of numbers occur: int64 from an API server, float64 from YAML.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		list := state.NewTable()
		for _, item := range value {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
