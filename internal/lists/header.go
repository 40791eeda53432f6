package lists

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/table"
)

// column is one that a kind of list has. Names are those of files, as folded returns them, the most telling first.
type column struct {
	name   string
	names  []string
	needed bool
	number bool   // its decimal separator is found out
	key    bool   // part of what a row is about
	absent string // what a row without it means, where it is part of the key
}

const (
	columnSKU      = "sku"
	columnPrice    = "price"
	columnStore    = "store_id"
	columnFrom     = "price_from"
	columnTo       = "price_to"
	columnTierType = "price_type"
	columnWebsite  = "website_id"
	columnGroup    = "customer_group"
	columnQuantity = "quantity"
	columnSource   = "source_code"
	columnStatus   = "status"
)

func words(s string) []string { return strings.Fields(s) }

// The names of columns in English, German, French, Spanish, Italian and Dutch.
var (
	skuNames = words(`sku articlesku productsku itemsku
		articlenumber articleno artno itemnumber itemno itemcode productnumber productcode partnumber partno materialnumber stockcode article item material
		artikelnummer artikelnr artikelno artikelcode artnr artikelid materialnummer materialnr produktnummer produktnr bestellnummer bestellnr artikel
		referencearticle refarticle referenceproduit refproduit reference ref codearticle codeproduit numeroarticle noarticle ugs
		codigoarticulo codigodearticulo codigoproducto codigodeproducto numerodearticulo numeroarticulo referencia codigo articulo
		codicearticolo codiceprodotto codart numeroarticolo riferimento codice articolo
		artikelnummer productnummer productnr bestelnummer`)
	priceNames = words(`price baseprice regularprice salesprice sellingprice retailprice listprice unitprice netprice grossprice priceexcltax priceexclvat priceincltax priceinclvat
		preis verkaufspreis vkpreis vk vknetto vkbrutto listenpreis nettopreis bruttopreis preisnetto preisbrutto einzelpreis stuckpreis stueckpreis
		prix prixdevente prixvente prixht prixttc prixunitaire prixnet prixpublic pvht pvttc tarif
		precio preciodeventa precioventa preciounitario precioneto preciobase pvp tarifa
		prezzo prezzodivendita prezzovendita prezzounitario prezzonetto prezzodilistino prezzolistino prezzobase listino
		prijs verkoopprijs stuksprijs eenheidsprijs nettoprijs brutoprijs prijsexclbtw prijsinclbtw adviesprijs`)
	specialNames = words(`specialprice saleprice promoprice promotionprice promotionalprice offerprice actionprice discountprice discountedprice
		sonderpreis aktionspreis angebotspreis sonderangebotspreis rabattpreis
		prixspecial prixpromo prixpromotionnel prixpromotion prixsolde prixremise
		precioespecial preciooferta preciodeoferta precioenoferta preciorebajado preciopromocional
		prezzospeciale prezzoscontato prezzopromozionale prezzopromo prezzoofferta
		specialeprijs speciaalprijs actieprijs aanbiedingsprijs kortingsprijs`)
	tierNames = words(`tierprice scaleprice quantityprice volumeprice staffelpreis mengenpreis prixdegressif prixparquantite prixquantite
		precioporcantidad precioescalado precioporvolumen prezzoaquantita prezzoperquantita prezzoascaglioni staffelprijs`)
	storeNames = words(`storeid store storeview storeviewid shopid idboutique idtienda idnegozio winkelid`)
	fromNames  = words(`pricefrom specialpricefrom specialfrom specialfromdate specialpricefromdate validfrom datefrom fromdate startdate from
		gultigab gueltigab gultigvon gueltigvon aktionvon aktionsbeginn startdatum beginn ab von
		datedebut datededebut valabledu valableapartirdu debut du
		validodesde fechadesde fechainicio fechadeinicio desde
		validodal datainizio datadiinizio inizio dal
		geldigvanaf geldigvan begindatum ingangsdatum vanaf van`)
	toNames = words(`priceto specialpriceto specialto specialtodate specialpricetodate validto validuntil dateto todate enddate to until
		gultigbis gueltigbis aktionbis aktionsende enddatum ende bis
		datefin datedefin valablejusquau valableau fin au
		validohasta fechahasta fechafin fechadefin hasta
		validoal validofinoal datafine datadifine fine al
		geldigtot geldigtotenmet einddatum tot`)
	groupNames = words(`customergroup customergroupname customergroupcode pricegroup group
		kundengruppe preisgruppe gruppe groupeclient groupeclients groupedeclients groupe
		grupodeclientes grupoclientes grupocliente grupo gruppoclienti gruppocliente gruppo klantgroep klantengroep klantgroepnaam prijsgroep groep`)
	tierTypeNames = words(`pricetype tierpricetype valuetype preisart preistyp typedeprix typeprix tipodeprecio tipoprecio tipoprezzo tipodiprezzo prijstype`)
	websiteNames  = words(`websiteid website`)
	fromQtyNames  = words(`quantity qty tierqty tierpriceqty minqty minquantity minimumquantity fromqty fromquantity quantityfrom
		menge abmenge mengeab mindestmenge staffelmenge anzahl abanzahl
		qte quantitemin quantiteminimum quantiteminimale apartirde
		cantidad cantidadminima cantidaddesde quantita qta quantitaminima quantitaminimo
		aantal vanafaantal minimumaantal hoeveelheid quantite`)  //nolint:misspell // French
	stockNames = words(`quantity qty stockqty stockquantity stocklevel qtyonhand quantityonhand onhand availablequantity availableqty inventory stock available
		bestand lagerbestand lagermenge menge verfugbaremenge verfuegbaremenge verfugbar verfuegbar anzahl
		qte quantiteenstock qtestock stockdisponible stockreel enstock
		cantidad existencias cantidadenstock cantidaddisponible disponible
		quantita qta giacenza giacenze quantitadisponibile disponibilita scorte
		aantal voorraad voorraadaantal hoeveelheid beschikbaar beschikbarevoorraad quantite inventario`)  //nolint:misspell // French, Spanish
	sourceNames = words(`sourcecode source msisource warehousecode warehouse locationcode location
		lager lagercode lagerort lagernummer lagernr quelle standort
		codeentrepot entrepot depot codedepot emplacement
		codigoalmacen almacen ubicacion origen
		codicemagazzino magazzino deposito ubicazione sorgente
		magazijncode magazijn bron locatie`)
	statusNames = words(`status stockstatus isinstock instock lagerstatus statutstock statutdustock estadodestock estadostock statostock voorraadstatus`)
)

var (
	skuColumn   = column{name: columnSKU, names: skuNames, needed: true, key: true}
	storeColumn = column{name: columnStore, names: storeNames, key: true, absent: "0"}
	baseColumns = []column{
		skuColumn,
		{name: columnPrice, names: priceNames, needed: true, number: true},
		storeColumn,
	}
	specialColumns = []column{
		skuColumn,
		{name: columnPrice, names: append(slices.Clone(specialNames), priceNames...), needed: true, number: true},
		storeColumn,
		{name: columnFrom, names: fromNames},
		{name: columnTo, names: toNames},
	}
	tierColumns = []column{
		skuColumn,
		{name: columnPrice, names: append(slices.Clone(tierNames), priceNames...), needed: true, number: true},
		{name: columnTierType, names: tierTypeNames},
		{name: columnWebsite, names: websiteNames, key: true, absent: "0"},
		{name: columnGroup, names: groupNames, key: true, absent: strings.ToLower(allGroups)},
		{name: columnQuantity, names: fromQtyNames, needed: true, number: true, key: true},
	}
	stockColumns = []column{
		skuColumn,
		{name: columnQuantity, names: stockNames, needed: true, number: true},
		{name: columnSource, names: sourceNames, key: true},
		{name: columnStatus, names: statusNames},
	}
)

func columnNames(columns []column) []string {
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		names = append(names, c.name)
	}
	return names
}

// ColumnNames returns our names of the columns of a list.
func (f Format) ColumnNames() []string { return columnNames(f.columns()) }

// folded returns a name in the form in which names are compared: as table.Folded, and without accents, signs and what stands in
// brackets.
func folded(name string) string {
	for _, pair := range []string{"()", "[]"} {
		if from, to := strings.IndexByte(name, pair[0]), strings.LastIndexByte(name, pair[1]); from > 0 && to > from {
			name = name[:from] + name[to+1:]
		}
	}
	name = strings.NewReplacer("ß", "ss", "€", "eur", "$", "usd", "£", "gbp").Replace(table.Folded(name))
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(name))
}

// currencies may stand behind the name of a column of prices.
var currencies = []string{"eur", "euro", "usd", "gbp", "chf", "pln", "sek", "dkk", "nok", "czk"}

func withoutCurrency(name string) string {
	for _, c := range currencies {
		if stem, ok := strings.CutSuffix(name, c); ok && len(stem) > 1 {
			return strings.TrimSuffix(stem, "in")
		}
	}
	return name
}

func (f Format) byNumber() bool {
	for _, theirs := range f.Columns {
		if n, err := strconv.Atoi(theirs); err == nil && n > 0 {
			return true
		}
	}
	return false
}

// find returns the cell of each column of the format, -1 where the header has none.
func (f Format) find(names []string) (at []int, found int) {
	index, priced := map[string]int{}, map[string]int{}
	for i := len(names) - 1; i >= 0; i-- {
		name := folded(names[i])
		index[name] = i
		priced[withoutCurrency(name)] = i
	}
	at = make([]int, 0, len(f.columns()))
	for _, c := range f.columns() {
		place := -1
		wanted := c.names
		if theirs := f.Columns[c.name]; theirs != "" {
			wanted = []string{folded(theirs)}
		} else {
			wanted = append(slices.Clone(wanted), folded(c.name))
		}
		for _, name := range wanted {
			i, ok := index[name]
			if !ok && c.name == columnPrice {
				i, ok = priced[name]
			}
			if ok && name != "" && !slices.Contains(at, i) {
				place = i
				break
			}
		}
		if place >= 0 {
			found++
		}
		at = append(at, place)
	}
	return at, found
}

// fits returns how well a row fits as the header.
func (f Format) fits(names []string) int {
	f = f.typed(names)
	at, found := f.find(names)
	for i, c := range f.columns() {
		if c.needed && at[i] < 0 {
			return 0
		}
	}
	return found
}

// typed returns the format with the type that a header says.
func (f Format) typed(names []string) Format {
	if f.Stock || f.Type != "" {
		return f
	}
	has := func(t event.PriceType, columns ...string) bool {
		of := Format{Type: t, Columns: f.Columns}
		at, _ := of.find(names)
		for i, c := range of.columns() {
			if slices.Contains(columns, c.name) && at[i] < 0 {
				return false
			}
		}
		return true
	}
	named := func(of []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(of, withoutCurrency(folded(n))) })
	}
	switch {
	case has(event.TierPrices, columnSKU, columnPrice, columnGroup, columnQuantity) || named(tierNames):
		f.Type = event.TierPrices
	case named(specialNames) && !named(priceNames):
		f.Type = event.SpecialPrices
	default:
		f.Type = event.BasePrices
	}
	return f
}

// layout finds which column is where.
func (l *List) layout(r *table.Reader) error {
	names := r.Names()
	l.format = l.format.typed(names)
	l.Type = l.format.Type
	columns := l.format.columns()
	l.numbers = make([]separators, len(columns))
	l.Columns = map[string]string{}
	if names == nil {
		l.at = make([]int, len(columns))
		for i, c := range columns {
			n, _ := strconv.Atoi(l.format.Columns[c.name])
			switch l.at[i] = n - 1; {
			case n == 0 && c.needed:
				return &table.UnusableError{Reason: fmt.Sprintf("the columns have numbers, and none for %s", c.name)}
			case c.needed && n > r.Width():
				return &table.UnusableError{Reason: fmt.Sprintf(
					"the first row has %d cells, and column %s is to be number %d: is the delimiter a comma, a semicolon, a tab or a pipe?", r.Width(), c.name, n)}
			case n > 0:
				l.Columns[c.name] = strconv.Itoa(n)
			}
		}
		return nil
	}
	l.at, _ = l.format.find(names)
	for i, c := range columns {
		if l.at[i] >= 0 {
			l.Columns[c.name] = names[l.at[i]]
		}
	}
	for i, name := range names {
		if !slices.Contains(l.at, i) && strings.TrimSpace(name) != "" {
			l.Ignored = append(l.Ignored, name)
		}
	}
	return nil
}

// named returns the error about a file without a header in the words of lists.
func (l *List) named(err error) error {
	var u *table.UnusableError
	if !errors.As(err, &u) || !u.NoHeader {
		return err
	}
	f := l.format.typed(u.Header)
	at, _ := f.find(u.Header)
	var missing []string
	for i, c := range f.columns() {
		if c.needed && at[i] < 0 {
			missing = append(missing, c.name)
		}
	}
	return &table.UnusableError{
		Reason: fmt.Sprintf("the header has no %s among its %d columns: correct it, or name the file's own columns (--columns)",
			strings.Join(missing, " and no "), len(u.Header)),
		Header: u.Header, NoHeader: true,
	}
}
