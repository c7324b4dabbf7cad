package realservers

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// nameNode is the program of one.
const nameNode = "org.apache.hadoop.hdfs.server.namenode.NameNode"

// nameService is the name of a pair of NameNodes.
const nameService = "shop"

// authority is the host of hdfs:// addresses.
func (c *Cluster) authority() string {
	if c.opt.Standby {
		return nameService
	}
	return c.Address
}

// nameNodes are the properties that say where the NameNodes are. A pair shares
// its log of changes in a folder, as it would on a disk of both machines, and
// nobody but Failover, or a ZooKeeper, decides who is active.
func (c *Cluster) nameNodes() []property {
	if !c.opt.Standby {
		return []property{{"dfs.namenode.rpc-address", c.Address}, {"dfs.namenode.http-address", c.WebAddress}}
	}
	const at = "." + nameService
	out := []property{
		{"dfs.nameservices", nameService},
		{"dfs.ha.namenodes" + at, "nn1,nn2"},
		{"dfs.namenode.rpc-address" + at + ".nn1", c.Address},
		{"dfs.namenode.http-address" + at + ".nn1", c.WebAddress},
		{"dfs.namenode.rpc-address" + at + ".nn2", c.StandbyAddress},
		{"dfs.namenode.http-address" + at + ".nn2", c.StandbyWebAddress},
		{"dfs.namenode.shared.edits.dir", "file://" + filepath.Join(c.opt.Dir, "shared")},
		{"dfs.client.failover.proxy.provider" + at, "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"},
		{"dfs.ha.fencing.methods", "shell(/bin/true)"},
		{"dfs.ha.tail-edits.period", "1s"},
	}
	if c.opt.Automatic {
		out = append(out, property{"dfs.ha.automatic-failover.enabled", "true"}, property{"ha.zookeeper.quorum", c.zookeeper},
			property{"ha.zookeeper.session-timeout.ms", "3000"})
	}
	return out
}

// nameNodeArgs are the arguments of NameNode n, 1 or 2.
func (c *Cluster) nameNodeArgs(n int, more ...string) []string {
	args := []string{"-Ddfs.namenode.name.dir=file://" + filepath.Join(c.opt.Dir, "name"+strconv.Itoa(n))}
	if c.opt.Standby {
		args = append(args, "-Ddfs.ha.namenode.id=nn"+strconv.Itoa(n))
	}
	return append(args, more...)
}

// nameNode is NameNode n, 1 or 2, with the addresses that it keeps whichever is
// the active one.
func (c *Cluster) nameNode(n int, name, address, webAddress string) *Node {
	return c.node(name, c.args(192, nameNode, c.nameNodeArgs(n)...), func() (bool, string) { return answers(address, webAddress) })
}

// startStandby makes the first NameNode of a pair the active one, and the second
// from what it has.
func (c *Cluster) startStandby(ctx context.Context) error {
	if c.opt.Automatic {
		if err := c.startZooKeeper(ctx); err != nil {
			return err
		}
		if err := c.watch(ctx, 1, c.controllers[0], c.WebAddress, "active"); err != nil {
			return err
		}
	} else if err := c.activate(ctx, "nn1"); err != nil {
		return err
	}
	if _, err := c.Run(ctx, nameNode, c.nameNodeArgs(2, "-bootstrapStandby", "-nonInteractive")...); err != nil {
		return fmt.Errorf("make the second namenode: %w", err)
	}
	c.Standby = c.nameNode(2, "namenode-2", c.StandbyAddress, c.StandbyWebAddress)
	if err := c.Standby.Start(ctx); err != nil || !c.opt.Automatic {
		return err
	}
	return c.watch(ctx, 2, c.controllers[1], c.StandbyWebAddress, "standby")
}

// Failover makes the standby NameNode the active one, which the first is no more
// or no longer runs as. From then on its addresses are the cluster's.
func (c *Cluster) Failover(ctx context.Context) error {
	if err := c.activate(ctx, "nn2"); err != nil {
		return err
	}
	c.swap()
	return nil
}

// swap makes the standby's addresses the cluster's.
func (c *Cluster) swap() {
	c.NameNode, c.Standby = c.Standby, c.NameNode
	c.Address, c.StandbyAddress = c.StandbyAddress, c.Address
	c.WebAddress, c.StandbyWebAddress = c.StandbyWebAddress, c.WebAddress
}

func (c *Cluster) activate(ctx context.Context, id string) error {
	if _, err := c.Run(ctx, "org.apache.hadoop.hdfs.tools.DFSHAAdmin", "-transitionToActive", "--forceactive", id); err != nil {
		return fmt.Errorf("make namenode %s the active one: %w", id, err)
	}
	return nil
}
