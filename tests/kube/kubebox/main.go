// kubebox is Kubernetes in one file: etcd, the control plane, the kubelet, kube-proxy and kubectl. The name it is started
// under, a link beside it, says which of them it is. They share most of their code, so one link step and one file on disk
// do for seven.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the clients' and
	_ "k8s.io/component-base/metrics/prometheus/version"  // the build's own figures at /metrics
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// daemon runs one of Kubernetes' own long-lived commands.
func daemon(command *cobra.Command) int { return cli.Run(command) }

// parts are what the file can be, by the name it is started under.
var parts = map[string]func() int{
	"etcd": func() int {
		etcdmain.Main(os.Args) // leaves by os.Exit when something is wrong
		return 0
	},
	"kube-apiserver":          func() int { return daemon(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return daemon(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return daemon(scheduler.NewSchedulerCommand()) },
	"kubelet":                 func() int { return daemon(kubelet.NewKubeletCommand(context.Background())) },
	"kube-proxy":              func() int { return daemon(kubeproxy.NewProxyCommand()) },
	"kubectl": func() int {
		if cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()) != nil {
			return 1
		}
		return 0
	},
}

func main() {
	part, known := parts[filepath.Base(os.Args[0])]
	if !known {
		names := make([]string, 0, len(parts))
		for name := range parts {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintln(os.Stderr, "kubebox: start it through a link named", strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Exit(part())
}
