package fakemagento_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestCategory_Life(t *testing.T) {
	_, all := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, categories := t.Context(), all.Categories
	make := func(name string, parent int64) int64 {
		c := &magentoapi.Category{Name: magentoapi.Text(name), ParentID: magentoapi.ID(parent), IsActive: yes}
		return int64(ok(categories.Create(ctx, c))(t).ID)
	}
	bags, bottles := make("Bags", 2), make("Bottles", 2)
	small := make("Small", bags)

	c := &magentoapi.Category{ID: magentoapi.ID(small), Name: "Small bags"}
	done(t, c.CustomAttributes.Set("description", "Not large"))
	ok(categories.Update(ctx, c))(t)
	got := ok(categories.Get(ctx, small))(t)
	if text, _ := got.CustomAttributes.Text("description"); text != "Not large" || got.Name != "Small bags" || !got.IsActive.Bool ||
		string(got.Path) != fmt.Sprintf("1/2/%d/%d", bags, small) || got.Level != 3 {
		t.Errorf("got %+v", got)
	}
	de := ok(all.Store("de"))(t)
	ok(de.Categories.Update(ctx, &magentoapi.Category{ID: magentoapi.ID(small), Name: "Kleine Taschen"}))(t)
	for client, want := range map[*magentoapi.Client]magentoapi.Text{all: "Small bags", de: "Kleine Taschen"} {
		if got := ok(client.Categories.Get(ctx, small))(t); got.Name != want {
			t.Errorf("got %s, want %s", got.Name, want)
		}
	}

	names := func(root int64, depth int) (found []string) {
		for node := range ok(categories.Tree(ctx, root, depth))(t).All() {
			found = append(found, string(node.Name))
		}
		return found
	}
	if got := names(0, 0); !slices.Equal(got, []string{"Root Catalog", "Default Category", "Bags", "Small bags", "Bottles"}) {
		t.Errorf("tree %q", got)
	}
	done(t, categories.Move(ctx, small, magentoapi.CategoryPlace{ParentID: bottles, AfterID: 0}))
	if got := names(2, 1); !slices.Equal(got, []string{"Default Category", "Bags", "Bottles"}) {
		t.Errorf("tree %q", got)
	}
	done(t, categories.Move(ctx, small, magentoapi.CategoryPlace{ParentID: 2, AfterID: -1}))
	if got := names(2, 0); !slices.Equal(got, []string{"Default Category", "Small bags", "Bags", "Bottles"}) {
		t.Errorf("tree %q", got)
	}
	done(t, categories.Move(ctx, small, magentoapi.CategoryPlace{ParentID: 2, AfterID: bags})) // right after it
	if got := names(2, 0); !slices.Equal(got, []string{"Default Category", "Bags", "Small bags", "Bottles"}) {
		t.Errorf("tree %q", got)
	}
	refused(t, categories.Move(ctx, 2, magentoapi.CategoryPlace{ParentID: small, AfterID: 0}), magentoapi.ErrBadRequest, "Operation do not allow to move a parent category to any of children category")

	var ids []int64
	for c, err := range categories.All(ctx, magentoapi.SearchCriteria{PageSize: 2}.Where(magentoapi.Eq("level", "2"))) {
		done(t, err)
		ids = append(ids, int64(c.ID))
	}
	if !slices.Equal(ids, []int64{bags, bottles, small}) {
		t.Errorf("found %v", ids)
	}
	below := make("Below", small)
	done(t, categories.Delete(ctx, small))
	for _, gone := range []int64{small, below} {
		_, err := categories.Get(ctx, gone)
		refused(t, err, magentoapi.ErrNotFound, fmt.Sprintf("No such entity with id = %d", gone))
	}
	refused(t, categories.Delete(ctx, 2), magentoapi.ErrBadRequest, "Cannot delete category with id 2")
	_, err := categories.Create(ctx, &magentoapi.Category{IsActive: yes})
	refused(t, err, magentoapi.ErrBadRequest, `Could not save category: The "Name" attribute is required. Enter and try again.`)
	_, err = categories.Tree(ctx, 99, 0)
	refused(t, err, magentoapi.ErrNotFound, "No such entity with id = 99")
}

func TestCategory_Products(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, categories := t.Context(), client.Categories
	shop.AddProduct(fakemagento.Product{SKU: "A/1"})
	shop.AddProduct(fakemagento.Product{SKU: "B"})
	done(t, categories.Assign(ctx, 2, "A/1", 5))
	done(t, categories.Assign(ctx, 2, "B", 0))
	done(t, categories.Assign(ctx, 2, "A/1", 1))
	got := ok(categories.Products(ctx, 2))(t)
	if !slices.Equal(got, []magentoapi.CategoryProduct{{SKU: "A/1", Position: 1, CategoryID: "2"}, {SKU: "B", CategoryID: "2"}}) {
		t.Errorf("got %+v", got)
	}
	if ids := ok(ok(client.Products.Get(ctx, "B"))(t).CustomAttributes.List("category_ids"))(t); !slices.Equal(ids, []string{"2"}) {
		t.Errorf("category_ids %v", ids)
	}
	shop.AddProduct(fakemagento.Product{SKU: "C"})
	inIt := ok(client.Products.Search(ctx, magentoapi.SearchCriteria{}.Where(magentoapi.In("category_id", "7", "2"))))(t)
	if len(inIt.Items) != 2 || inIt.Items[0].SKU != "A/1" {
		t.Errorf("found %+v", inIt.Items)
	}
	done(t, categories.Unassign(ctx, 2, "A/1"))
	refused(t, categories.Unassign(ctx, 2, "A/1"), magentoapi.ErrBadRequest, "The category doesn't contain the specified product.")
	refused(t, categories.Assign(ctx, 2, "D", 0), magentoapi.ErrNotFound, noProduct)
	refused(t, categories.Assign(ctx, 9, "B", 0), magentoapi.ErrNotFound, "No such entity with id = 9")
}
