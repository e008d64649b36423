// SPDX-License-Identifier: Apache-2.0

// A stand-in for the Cluster API BYOH host agent, for tests of the installer.
//
// It takes the agent's flags and does its bootstrap for real: key, certificate signing request, waiting,
// kubeconfig in the home folder. What comes after is missing: it registers the host where the cluster
// knows the API, but drives no node. It keeps the habits that an installer has to live with: the exit
// status 0 after a failed registration, the key in the working directory, the config below $HOME.
package main

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	goflag "flag"

	"github.com/spf13/pflag"
	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
)

const (
	whatThisIs      = "byoh-hostagent STAND-IN for tests; this is not the Cluster API BYOH agent"
	pendingKey      = "byoh-client.key.tmp"
	proxyKubeconfig = "/etc/kubernetes/kube-proxy.kubeconfig"
	hostAPI         = "/apis/infrastructure.cluster.x-k8s.io/v1beta1"
	certificateWait = time.Hour
	checkInterval   = 10 * time.Second
)

// Set by the linker.
var version = "unknown"

type options struct {
	namespace           string
	labels              map[string]string
	metricsBindAddress  string
	bootstrapKubeconfig string
	printVersion        bool
}

// The flags that are read and then ignored are those whose work the stand-in does not do; an unknown one
// is an error, as it is for the agent.
func parseFlags() *options {
	o := &options{}
	ignoredString, ignoredBool, ignoredSeconds := "", false, int64(0)

	klog.InitFlags(nil)
	pflag.CommandLine.AddGoFlagSet(goflag.CommandLine)
	pflag.StringVar(&o.namespace, "namespace", "default", "namespace in which the host is registered")
	pflag.StringToStringVar(&o.labels, "label", nil, "labels of the host, k=v[,k=v], may be repeated")
	pflag.StringVar(&o.metricsBindAddress, "metricsbindaddress", ":8080", "address of the metrics, 0 turns them off")
	pflag.StringVar(&o.bootstrapKubeconfig, "bootstrap-kubeconfig", "", "kubeconfig for the first contact")
	pflag.BoolVar(&o.printVersion, "version", false, "print the version and exit")
	pflag.StringVar(&ignoredString, "downloadpath", "/var/lib/byoh/bundles", "ignored by the stand-in")
	pflag.BoolVar(&ignoredBool, "skip-installation", false, "ignored: the stand-in never installs anything")
	pflag.Int64Var(&ignoredSeconds, "certExpiryDuration", 31536000, "ignored by the stand-in")
	pflag.StringVar(&ignoredString, "feature-gates", "", "ignored by the stand-in")
	pflag.StringVar(&ignoredString, "kubeconfig", "", "ignored, by the agent too")
	if err := pflag.CommandLine.MarkHidden("kubeconfig"); err != nil {
		klog.Fatal(err)
	}
	pflag.Parse()
	return o
}

// The agent does not care whether HOME is set: without it the path is relative to the working directory.
func configPath() string {
	home, err := os.UserHomeDir()
	if err != nil {
		klog.Warningf("no home folder, the config goes below the working directory: %v", err)
	}
	return filepath.Join(home, ".byoh", "config")
}

func requestCertificate(client clientset.Interface, hostname string, keyPEM []byte) ([]byte, error) {
	key, err := keyutil.ParsePrivateKeyPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("key in %s: %w", pendingKey, err)
	}
	subject := &pkix.Name{Organization: []string{"byoh:hosts"}, CommonName: "byoh:host:" + hostname}
	request, err := certutil.MakeCSR(key, subject, nil, nil)
	if err != nil {
		return nil, err
	}
	name, uid, err := csr.RequestCertificate(client, request, "byoh-csr-"+hostname,
		certificatesv1.KubeAPIServerClientSignerName,
		[]certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}, key)
	if err != nil {
		return nil, err
	}
	klog.Infof("certificate signing request %s is made, waiting for its approval", name)
	ctx, cancel := context.WithTimeout(context.Background(), certificateWait)
	defer cancel()
	return csr.WaitForCertificate(ctx, client, name, uid)
}

// makeKubeconfig embeds certificate and key, so that the file works alone.
func makeKubeconfig(cluster *restclient.Config, certPEM, keyPEM []byte) (*clientcmdapi.Config, error) {
	ca := cluster.CAData
	if len(ca) == 0 && cluster.CAFile != "" {
		var err error
		if ca, err = os.ReadFile(cluster.CAFile); err != nil {
			return nil, err
		}
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["default-cluster"] = &clientcmdapi.Cluster{
		Server:                   cluster.Host,
		CertificateAuthorityData: ca,
		InsecureSkipTLSVerify:    cluster.Insecure,
	}
	config.AuthInfos["default-auth"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: certPEM,
		ClientKeyData:         keyPEM,
	}
	config.Contexts["default-context"] = &clientcmdapi.Context{
		Cluster: "default-cluster", AuthInfo: "default-auth", Namespace: "default",
	}
	config.CurrentContext = "default-context"
	return config, nil
}

// The agent needs the folder to be there already, and goes on without the file.
func writeProxyKubeconfig(config *clientcmdapi.Config) error {
	content, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return os.WriteFile(proxyKubeconfig, content, 0o600)
}

func bootstrap(bootstrapKubeconfig, hostname, target string) error {
	cluster, err := clientcmd.BuildConfigFromFlags("", bootstrapKubeconfig)
	if err != nil {
		return fmt.Errorf("bootstrap kubeconfig %s: %w", bootstrapKubeconfig, err)
	}
	client, err := clientset.NewForConfig(cluster)
	if err != nil {
		return err
	}
	keyPEM, _, err := keyutil.LoadOrGenerateKeyFile(pendingKey)
	if err != nil {
		return err
	}
	certPEM, err := requestCertificate(client, hostname, keyPEM)
	if err != nil {
		return err
	}
	config, err := makeKubeconfig(cluster, certPEM, keyPEM)
	if err != nil {
		return err
	}
	if err := clientcmd.WriteToFile(*config, target); err != nil {
		return err
	}
	klog.Infof("certificate received, config written to %s", target)
	if err := writeProxyKubeconfig(config); err != nil {
		klog.Errorf("kubeconfig of kube-proxy: %v", err)
	}
	return os.Remove(pendingKey)
}

// register creates the ByoHost object. A control plane without the provider does not know that API: there
// a first authenticated request is what can be tried.
func register(client clientset.Interface, o *options, hostname string) error {
	if _, err := client.Discovery().ServerVersion(); err != nil {
		return err
	}
	host, err := json.Marshal(map[string]interface{}{
		"apiVersion": strings.TrimPrefix(hostAPI, "/apis/"),
		"kind":       "ByoHost",
		"metadata":   metav1.ObjectMeta{Name: hostname, Namespace: o.namespace, Labels: o.labels},
		"spec":       map[string]interface{}{},
	})
	if err != nil {
		return err
	}
	rest := client.Discovery().RESTClient()
	if err := rest.Get().AbsPath(hostAPI).Do(context.TODO()).Error(); apierrors.IsNotFound(err) {
		klog.Info("the cluster has no ByoHost API: the host stays unregistered")
		return nil
	}
	err = rest.Post().AbsPath(hostAPI, "namespaces", o.namespace, "byohosts").
		SetHeader("Content-Type", "application/json").Body(bytes.NewReader(host)).
		Do(context.TODO()).Error()
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func serveMetrics(address string, connected *int32) error {
	if address == "0" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE byoh_agent_standin_connected gauge\nbyoh_agent_standin_connected %d\n",
			atomic.LoadInt32(connected))
	})
	go func() { klog.Error(http.Serve(listener, mux)) }()
	return nil
}

// watchServer says each change of the connection once, until the process is told to stop.
func watchServer(client clientset.Interface, connected *int32) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		_, err := client.Discovery().ServerVersion()
		up := int32(1)
		if err != nil {
			up = 0
		}
		if atomic.SwapInt32(connected, up) != up {
			klog.Infof("connection to the API server: up=%d %v", up, err)
		}
		select {
		case <-tick.C:
		case got := <-stop:
			klog.Infof("stopping: %v", got)
			return
		}
	}
}

func run(o *options) error {
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	target := configPath()
	if _, err := os.Stat(target); o.bootstrapKubeconfig != "" && errors.Is(err, os.ErrNotExist) {
		if err := bootstrap(o.bootstrapKubeconfig, hostname, target); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", target)
	if err != nil {
		return fmt.Errorf("config %s: %w", target, err)
	}
	config.Timeout = checkInterval
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	// From here on the agent leaves with 0 whatever goes wrong: a unit with Restart=on-failure would not
	// bring it back, and tests have to see that.
	if err := register(client, o, hostname); err != nil {
		klog.Errorf("register: %v", err)
		return nil
	}
	var connected int32
	if err := serveMetrics(o.metricsBindAddress, &connected); err != nil {
		klog.Errorf("metrics: %v", err)
		return nil
	}
	watchServer(client, &connected)
	return nil
}

func main() {
	o := parseFlags()
	defer klog.Flush()
	if o.printVersion {
		fmt.Printf("%s, version %s\n", whatThisIs, version)
		return
	}
	klog.Infof("%s, version %s", whatThisIs, version)
	if err := run(o); err != nil {
		klog.Error(err)
		klog.Flush()
		os.Exit(1)
	}
}
