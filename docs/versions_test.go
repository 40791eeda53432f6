package docs

import (
	"regexp"
	"strings"
	"testing"
)

// What docker-compose.yml starts is told of where the tested versions are.
func TestVersions_NameThoseOfCompose(t *testing.T) {
	_, versions, _ := strings.Cut(read(t, "docs", "install.md"), "\n## Versions\n")
	versions, _, _ = strings.Cut(versions, "\n## ")
	images := regexp.MustCompile(`image: (rabbitmq|postgres):([0-9.]+)`).FindAllStringSubmatch(read(t, "docker-compose.yml"), -1)
	if len(images) != 2 {
		t.Fatalf("%d images, want RabbitMQ and Postgres", len(images))
	}
	for _, image := range images {
		name := "RabbitMQ " + image[2]
		if image[1] == "postgres" { // whose rules change with the first number alone
			major, _, _ := strings.Cut(image[2], ".")
			name = "Postgres " + major
		}
		if !strings.Contains(versions, name) {
			t.Errorf("docker-compose.yml starts %s, and docs/install.md does not say how far it is tested", name)
		}
	}
}
