package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Magento makes its message ids so; they name a publish and protect nothing
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/spf13/cobra"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/rabbitmq"
)

func newPublish(t terminal) *cobra.Command {
	var lines, asJSON bool
	var letters, to string
	cmd := &cobra.Command{
		Use:   "publish TOPIC [FILE|-] | publish --letters FILE",
		Short: "Publish one event, or one per line, the way Magento does, but confirmed",
		Long: `Publishes the file's content (standard input without one, or with -) to the exchange with the topic as routing key. It fails
when no queue is bound to the topic: Magento itself would not notice.

With --letters it sends what "mageline dlq discard" wrote (standard input with -) back to the queues it was consumed from, as a
replay does. Lines that can't be sent are named, and the others go.`,
		Example: `  echo '{"increment_id":"000000123"}' | mageline publish sales.order.placed
  mageline publish sales.order.placed --lines orders.jsonl
  mageline publish --letters dropped.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch flags := cmd.Flags(); {
			case !flags.Changed("letters") && flags.Changed("to"):
				return errors.New("--to goes with --letters: an event goes to the exchange")
			case !flags.Changed("letters"):
				return cobra.RangeArgs(1, 2)(cmd, args)
			case letters == "":
				return errors.New("--letters: which file?")
			case lines || len(args) > 0:
				return errors.New("--letters goes without TOPIC and --lines: the letters have their topics, a line for each")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if letters != "" {
				return restore(cmd.Context(), t, letters, to, asJSON)
			}
			cfg, err := loadConfig(config.Nothing)
			if err != nil {
				return err
			}
			in := t.in
			if len(args) == 2 && args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return failed(err)
				}
				defer f.Close() //nolint:errcheck // read only
				in = f
			}
			conn, err := app.Dial(cmd.Context(), cfg, "mageline publish")
			if err != nil {
				return failed(err)
			}
			publisher, err := rabbitmq.NewPublisher(conn)
			if err != nil {
				rabbitmq.Close(conn)
				return failed(err)
			}
			defer publisher.Close()
			n, err := publishAll(cmd.Context(), publisher, cfg.AMQPExchange, args[0], in, lines)
			if asJSON {
				return errors.Join(failed(err), printJSON(t.out, map[string]int{"published": n}))
			}
			fmt.Fprintf(t.out, "published %d\n", n)
			return failed(err)
		},
	}
	cmd.Flags().BoolVar(&lines, "lines", false, "every line is an event of its own")
	cmd.Flags().StringVar(&letters, "letters", "", "send the letters that dlq discard wrote to this file back to their queues")
	cmd.Flags().StringVar(&to, "to", "", "send the letters to this queue, whatever they say")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// publishAll publishes the content of in and returns the number of confirmed events.
func publishAll(ctx context.Context, p *rabbitmq.Publisher, exchange, topic string, in io.Reader, lines bool) (n int, err error) {
	publish := func(body []byte) error {
		err := p.Publish(ctx, exchange, topic, asMagento(body))
		if errors.Is(err, rabbitmq.ErrReturned) {
			return fmt.Errorf("no queue is bound to topic %q at exchange %q: run `mageline topology`, or correct the topic", topic, exchange)
		}
		return rabbitmq.Explain(err)
	}
	if !lines {
		body, err := io.ReadAll(io.LimitReader(in, event.MaxBody+1))
		if err != nil {
			return 0, err
		}
		if len(body) > event.MaxBody {
			return 0, fmt.Errorf("the event has more than %d bytes", event.MaxBody)
		}
		if err := publish(body); err != nil {
			return 0, err
		}
		return 1, nil
	}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, event.MaxBody)
	for line := 1; scanner.Scan(); line++ {
		body := bytes.TrimSpace(scanner.Bytes())
		if len(body) == 0 {
			continue
		}
		if err := publish(bytes.Clone(body)); err != nil {
			return n, fmt.Errorf("line %d: %w", line, err)
		}
		n++
	}
	return n, scanner.Err()
}

// asMagento has the properties of a message of Magento's publisher (docs/reference/magento.md): persistent, a message id
// of its own, nothing else.
func asMagento(body []byte) amqp.Publishing {
	id := md5.Sum([]byte(rand.Text())) //nolint:gosec // see above
	return amqp.Publishing{DeliveryMode: amqp.Persistent, MessageId: hex.EncodeToString(id[:]), Body: body}
}
