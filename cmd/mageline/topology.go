package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/operate"
	"github.com/mageline/mageline/rabbitmq"
)

func newTopology(t terminal) *cobra.Command {
	var show, asJSON bool
	var unbind string
	cmd := &cobra.Command{
		Use:   "topology",
		Short: "Declare exchanges, queues and bindings, or print them",
		Long: `Declares what is missing. What exists is used as it is: "mageline check" says where it differs. Bindings are only ever
added, also while mageline runs; --unbind removes one.`,
		Example: `  mageline topology --print
  mageline topology --unbind order_placed:sales.order.updated`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(config.Nothing)
			if err != nil {
				return err
			}
			topology := operate.Topology{Topology: app.Topology(cfg)}
			if show {
				return printTopology(t, topology.Topology, asJSON)
			}
			if topology.Conn, err = app.Dial(cmd.Context(), cfg, "mageline topology"); err != nil {
				return failed(err)
			}
			defer rabbitmq.Close(topology.Conn)
			if unbind != "" {
				return unbindTopic(t, topology, unbind, asJSON)
			}
			made, err := topology.Declare(cmd.Context())
			if asJSON {
				return errors.Join(failed(err), printJSON(t.out, map[string][]string{"made": append([]string{}, made...)}))
			}
			for _, name := range made {
				fmt.Fprintln(t.out, "made", name)
			}
			if err == nil && len(made) == 0 {
				fmt.Fprintln(t.out, "nothing was missing")
			}
			return failed(err)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "print the topology, connect to nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&unbind, "unbind", "", "remove one binding, given as consumer:topic")
	return cmd
}

func printTopology(t terminal, topology rabbitmq.Topology, asJSON bool) error {
	if asJSON {
		var exchanges, queues, bindings []map[string]any
		for _, e := range topology.Exchanges() {
			exchanges = append(exchanges, map[string]any{"name": e.Name, "type": e.Kind, "durable": true})
		}
		for _, q := range topology.Queues() {
			queues = append(queues, map[string]any{"name": q.Name, "durable": true, "arguments": q.Args})
		}
		for _, b := range topology.Bindings() {
			bindings = append(bindings, map[string]any{"queue": b.Queue, "exchange": b.Exchange, "routing_key": b.Key})
		}
		return printJSON(t.out, map[string]any{"exchanges": exchanges, "queues": queues, "bindings": bindings})
	}
	rows := [][]string{{"EXCHANGE", "TYPE"}}
	for _, e := range topology.Exchanges() {
		rows = append(rows, []string{e.Name, e.Kind + ", durable"})
	}
	if err := printTable(t.out, rows); err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	rows = [][]string{{"QUEUE", "ARGUMENTS"}}
	for _, q := range topology.Queues() {
		rows = append(rows, []string{q.Name, arguments(q.Args)})
	}
	if err := printTable(t.out, rows); err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	rows = [][]string{{"BINDING OF QUEUE", "TO EXCHANGE", "WITH"}}
	for _, b := range topology.Bindings() {
		rows = append(rows, []string{b.Queue, b.Exchange, b.Key})
	}
	return printTable(t.out, rows)
}

func arguments(args amqp.Table) string {
	list := make([]string, 0, len(args))
	for name, value := range args {
		list = append(list, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func unbindTopic(t terminal, topology operate.Topology, binding string, asJSON bool) error {
	consumer, topic, ok := strings.Cut(binding, ":")
	if !ok || consumer == "" || topic == "" {
		return &exitError{exitUsage, fmt.Errorf("--unbind %q: want consumer:topic, as order_placed:sales.order.updated", binding)}
	}
	unbound, err := topology.Unbind(consumer, topic)
	if err != nil {
		return failed(err)
	}
	if asJSON {
		err = printJSON(t.out, unbound)
	} else {
		_, err = fmt.Fprintf(t.out, "queue %s is no longer bound to %s\n", unbound.Queue, unbound.Topic)
	}
	if err == nil && unbound.BoundAgain {
		fmt.Fprintf(t.err, "a mageline that runs binds it again within a minute, and so does the next one, unless MAGELINE_BINDINGS leaves it out\n")
	}
	return failed(err)
}
