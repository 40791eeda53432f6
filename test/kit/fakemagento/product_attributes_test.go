package fakemagento_test

import (
	"slices"
	"testing"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestAttribute_Life(t *testing.T) {
	_, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, attributes := t.Context(), client.Attributes
	made := ok(attributes.Create(ctx, &magentoapi.Attribute{
		AttributeCode: "fabric", FrontendInput: "select", DefaultFrontendLabel: "Fabric",
		Options: []magentoapi.AttributeOption{{Label: "Linen"}},
	}))(t)
	if made.AttributeID == 0 || made.BackendType != "int" || !made.IsUserDefined.Bool || len(made.Options) != 2 || made.Options[1].Value == "" {
		t.Errorf("made %+v", made)
	}
	made.DefaultFrontendLabel = "Cloth"
	made.Options = append(made.Options, magentoapi.AttributeOption{Label: "Silk"})
	changed := ok(attributes.Update(ctx, made))(t)
	// The choice of nothing, which Magento has put first, has not become an option.
	if got := ok(attributes.Options(ctx, "fabric"))(t); changed.DefaultFrontendLabel != "Cloth" || len(got) != 2 || got[0].Label != "Linen" || got[1].Label != "Silk" {
		t.Errorf("changed to %+v with %+v", changed, got)
	}
	_, err := attributes.Create(ctx, &magentoapi.Attribute{AttributeCode: "fabric", FrontendInput: "select", DefaultFrontendLabel: "x"})
	refused(t, err, magentoapi.ErrBadRequest, "Attribute with the same code already exists.")
	_, err = attributes.Create(ctx, &magentoapi.Attribute{AttributeCode: "Bad Code", FrontendInput: "select", DefaultFrontendLabel: "x"})
	refused(t, err, magentoapi.ErrBadRequest, `Invalid value of "Bad Code" provided for the attribute_code field.`)
	if _, err := attributes.Update(ctx, &magentoapi.Attribute{AttributeCode: "fabric"}); err == nil {
		t.Error("an attribute that was not read was changed")
	}

	var codes []string
	for a, err := range attributes.All(ctx, magentoapi.SearchCriteria{PageSize: 2}.Where(magentoapi.Eq("frontend_input", "select"))) {
		done(t, err)
		codes = append(codes, string(a.AttributeCode))
	}
	if want := []string{"color", "fabric", "size", "status", "tax_class_id", "visibility"}; !slices.Equal(codes, want) {
		t.Errorf("found %v, want %v", codes, want)
	}
	if types := ok(attributes.Types(ctx))(t); len(types) == 0 || types[0].Value != "text" {
		t.Errorf("types %v", types)
	}
	done(t, attributes.Delete(ctx, "fabric"))
	_, err = attributes.Get(ctx, "fabric")
	refused(t, err, magentoapi.ErrNotFound, `The attribute with a "fabric" attributeCode doesn't exist. Verify the attribute and try again.`)
	refused(t, attributes.Delete(ctx, "name"), magentoapi.ErrBadRequest, "The system attribute can't be deleted.")
}

func TestAttribute_Options(t *testing.T) {
	_, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, attributes := t.Context(), client.Attributes
	id := ok(attributes.AddOption(ctx, "color", &magentoapi.AttributeOption{
		Label: "Grün", SortOrder: 4, StoreLabels: []magentoapi.StoreLabel{{StoreID: 1, Label: "Green"}},
	}))(t)
	labels := func() (found []string) {
		for _, o := range ok(attributes.Options(ctx, "color"))(t) {
			found = append(found, string(o.Label))
		}
		return found
	}
	if got := labels(); !slices.Equal(got, []string{"Black", "Blue", "Red", "Grün"}) {
		t.Errorf("got %q", got)
	}
	done(t, attributes.UpdateOption(ctx, "color", &magentoapi.AttributeOption{Value: magentoapi.Text(id), Label: "Dunkelgrün"}))
	if got := labels(); got[3] != "Dunkelgrün" {
		t.Errorf("got %q", got)
	}
	_, err := attributes.AddOption(ctx, "color", &magentoapi.AttributeOption{Label: "red"})
	refused(t, err, magentoapi.ErrBadRequest, `Admin store attribute option label "red" already exists.`)
	_, err = attributes.AddOption(ctx, "color", &magentoapi.AttributeOption{Label: " "})
	refused(t, err, magentoapi.ErrBadRequest, "The attribute option label is empty. Enter the value and try again.")
	_, err = attributes.AddOption(ctx, "name", &magentoapi.AttributeOption{Label: "x"})
	refused(t, err, magentoapi.ErrBadRequest, `The "name" attribute doesn't work with options.`)
	refused(t, attributes.UpdateOption(ctx, "color", &magentoapi.AttributeOption{Value: "99", Label: "x"}),
		magentoapi.ErrBadRequest, "The 'color' attribute doesn't include an option id '99'.")
	done(t, attributes.DeleteOption(ctx, "color", id))
	refused(t, attributes.DeleteOption(ctx, "color", id), magentoapi.ErrNotFound, `The "color" attribute doesn't include an option with "`+id+`" ID.`)
	if got := labels(); len(got) != 3 {
		t.Errorf("got %q", got)
	}
}

func TestAttributeSet_Life(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, sets := t.Context(), client.AttributeSets
	set := ok(sets.Create(ctx, &magentoapi.AttributeSet{Name: "Bags", SortOrder: 2}, 4))(t)
	id := int64(set.ID)
	set.Name = "All bags"
	ok(sets.Update(ctx, set))(t)
	if got := ok(sets.Get(ctx, id))(t); got.Name != "All bags" || got.SortOrder != 2 {
		t.Errorf("got %+v", got)
	}
	var names []string
	for s, err := range sets.All(ctx, magentoapi.SearchCriteria{PageSize: 1}) {
		done(t, err)
		names = append(names, string(s.Name))
	}
	if !slices.Equal(names, []string{"Default", "All bags"}) {
		t.Errorf("found %q", names)
	}

	group := ok(sets.CreateGroup(ctx, &magentoapi.AttributeGroup{Name: "Looks", SetID: set.ID}))(t)
	group.Name = "Look"
	ok(sets.UpdateGroup(ctx, group))(t)
	groups := ok(sets.Groups(ctx, id))(t)
	if len(groups) != 2 || groups[0].Name != "Product Details" || groups[1].Name != "Look" || groups[1].ID != group.ID {
		t.Errorf("groups %+v", groups)
	}
	has := func(code string) bool {
		return slices.ContainsFunc(ok(sets.Attributes(ctx, id))(t), func(a *magentoapi.Attribute) bool { return string(a.AttributeCode) == code })
	}
	done(t, sets.Unassign(ctx, id, "color"))
	if has("color") || !has("name") {
		t.Error("color is still there, or name is not")
	}
	done(t, sets.Assign(ctx, "color", magentoapi.AttributePlace{SetID: id, GroupID: int64(group.ID), SortOrder: 3}))
	if !has("color") {
		t.Error("color is not there")
	}
	refused(t, sets.Unassign(ctx, id, "name"), magentoapi.ErrBadRequest, "The system attribute can't be deleted.")
	refused(t, sets.Assign(ctx, "color", magentoapi.AttributePlace{SetID: 4, GroupID: int64(group.ID)}), magentoapi.ErrBadRequest, "The attribute group doesn't belong to the attribute set.")
	refused(t, sets.DeleteGroup(ctx, int64(groups[0].ID)), magentoapi.ErrBadRequest, "The attribute group can't be deleted because it contains system attributes.")
	done(t, sets.DeleteGroup(ctx, int64(group.ID)))
	if has("color") {
		t.Error("the attribute has outlived its group")
	}

	ok(client.Products.Create(ctx, &magentoapi.Product{SKU: "A", Name: "A", AttributeSetID: set.ID, Price: amount("1")}))(t)
	done(t, sets.Delete(ctx, id))
	if shop.Product("A", 0) != nil {
		t.Error("a product has outlived its attribute set")
	}
	_, err := sets.Create(ctx, &magentoapi.AttributeSet{Name: "default"}, 4)
	refused(t, err, magentoapi.ErrBadRequest, `A "default" attribute set name already exists. Create a new name and try again.`)
	_, err = sets.Get(ctx, id)
	refused(t, err, magentoapi.ErrNotFound, "No such entity with id = 5")
	_, err = sets.Groups(ctx, id)
	refused(t, err, magentoapi.ErrNotFound, "No such entity with attributeSetId = 5")
	_, err = client.Products.Create(ctx, &magentoapi.Product{SKU: "B", Name: "B", AttributeSetID: set.ID, Price: amount("1")})
	refused(t, err, magentoapi.ErrBadRequest, "Invalid product data: Invalid attribute set entity type")
}
