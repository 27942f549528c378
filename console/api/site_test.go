package api_test

import (
	"errors"
	"slices"
	"testing"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/node"
)

func TestSite(t *testing.T) {
	_, c := apitest.Start(t)
	var status node.Status
	if err := c.Get(t.Context(), "/site", nil, &status); err != nil {
		t.Fatal(err)
	}
	if status.Site != "Test" || !slices.Equal(status.Languages, []string{"de", "en"}) || status.Address == "" {
		t.Errorf("status: %+v", status)
	}
	var got api.Languages
	if err := c.Put(t.Context(), "/site/languages", api.Languages{Languages: []string{"pt-BR", "en"}}, &got); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), "/site/languages", nil, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Languages, []string{"en", "pt-br"}) {
		t.Errorf("languages: %v", got.Languages)
	}
	err := c.Put(t.Context(), "/site/languages", api.Languages{Languages: []string{"english!"}}, nil)
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Status != 400 || answer.Code != "invalid" {
		t.Errorf("a language that is none: %v", err)
	}
}
