package realservers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// controller is the program that watches over a NameNode and makes it the active
// one when ZooKeeper says that no other is.
const controller = "org.apache.hadoop.hdfs.tools.DFSZKFailoverController"

// startZooKeeper starts a ZooKeeper and what a pair keeps in it.
func (c *Cluster) startZooKeeper(ctx context.Context) error {
	host, port, err := net.SplitHostPort(c.zookeeper)
	if err != nil {
		return fmt.Errorf("start zookeeper: %w", err)
	}
	file := filepath.Join(c.opt.Dir, "zoo.cfg")
	text := "tickTime=500\ndataDir=" + filepath.Join(c.opt.Dir, "zookeeper") + "\nclientPort=" + port + "\nclientPortAddress=" + host + "\nadmin.enableServer=false\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("configure zookeeper: %w", err)
	}
	server := c.node("zookeeper", c.args(64, "org.apache.zookeeper.server.ZooKeeperServerMain", file), func() (bool, string) { return listens(c.zookeeper) })
	c.beside = append(c.beside, server)
	if err := server.Start(ctx); err != nil {
		return err
	}
	if _, err := c.Run(ctx, controller, "-Ddfs.ha.namenode.id=nn1", "-formatZK", "-nonInteractive", "-force"); err != nil {
		return fmt.Errorf("format zookeeper for the pair: %w", err)
	}
	return nil
}

// watch starts the controller beside NameNode n, 1 or 2, and waits until that is
// in a state.
func (c *Cluster) watch(ctx context.Context, n int, address, webAddress, state string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("start a controller: %w", err)
	}
	node := c.node(fmt.Sprintf("zkfc-%d", n), c.args(64, controller, fmt.Sprintf("-Ddfs.ha.namenode.id=nn%d", n), "-Ddfs.ha.zkfc.port="+port), func() (bool, string) { return isIn(state, webAddress) })
	c.beside = append(c.beside, node)
	return node.Start(ctx)
}

// AwaitFailover returns when the standby NameNode has become the active one by
// itself. From then on its addresses are the cluster's.
func (c *Cluster) AwaitFailover(ctx context.Context) error {
	err := c.Standby.await(ctx, func() (bool, string) { return isIn("active", c.StandbyWebAddress) })
	if err == nil {
		c.swap()
	}
	return err
}

// isIn says whether a NameNode of a pair is in a state, active or standby, and in
// which one it is.
func isIn(state, webAddress string) (bool, string) {
	now, err := bean[struct{ State string }](webAddress, "NameNodeStatus")
	if err != nil {
		return false, err.Error()
	}
	return now.State == state, now.State
}
