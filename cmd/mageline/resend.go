package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/rabbitmq"
)

func newTrackingResend(t terminal) *cobra.Command {
	var profile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "resend FILE",
		Short: "Send a file that is done again, with the present settings",
		Long: `Has a file of the inbox, of processed/ or of failed/ read again with the present settings, though it was done: after a profile
was corrected, or with another one. What Magento has already is found done. The file stays in processed/; one of failed/ that is
usable now moves there.

FILE is a path, or one relative to MAGELINE_TRACKING_DIR, with or without processed/ or failed/.`,
		Example: `  mageline tracking resend acme/20261128.csv
  mageline tracking resend failed/20261128.csv --profile shipstation`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(config.Nothing)
			if err != nil {
				return err
			}
			if cfg.TrackingDir == "" {
				return errors.New("MAGELINE_TRACKING_DIR is not set: which inbox?")
			}
			wish, err := app.Resend(cfg, args[0], profile)
			if err != nil {
				return failed(err)
			}
			conn, err := app.Dial(cmd.Context(), cfg, "mageline tracking resend")
			if err != nil {
				return failed(err)
			}
			publisher, err := rabbitmq.NewPublisher(conn)
			if err != nil {
				rabbitmq.Close(conn)
				return failed(err)
			}
			defer publisher.Close()
			if _, err := publishAll(cmd.Context(), publisher, cfg.AMQPExchange, wish.Topic, bytes.NewReader(wish.Body), false); err != nil {
				return failed(err)
			}
			if asJSON {
				_, err = fmt.Fprintf(t.out, "%s\n", wish.Body)
				return err
			}
			_, err = fmt.Fprintf(t.out, "%s is read again (%s)\n", wish.Path, wish.SHA256)
			return err
		},
	}
	cmd.Flags().StringVar(&profile, "profile", "", "read it by this profile, whatever it looks like")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the event as a JSON object")
	return cmd
}
