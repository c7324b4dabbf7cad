package config

import (
	"strings"
	"testing"
)

func TestArchivePlace(t *testing.T) {
	for _, test := range []struct{ url, want, fault string }{
		{url: "file:archive"},
		{url: "file:///srv/archive"},
		{url: "hdfs://nn1:9000/user/shop", want: "hdfs://nn1:9000/user/shop"},
		{url: "hdfs://nn1:9000,nn2:9000/user/", want: "hdfs://nn1:9000,nn2:9000/user"},
		{url: "hdfs://[::1]:9000/user", want: "hdfs://[::1]:9000/user"},
		{url: "webhdfs://gw:14000", want: "webhdfs://gw:14000/"},
		{url: "swebhdfs://gw:9871/a/../b", want: "swebhdfs://gw:9871/b"},
		{url: "hdfs://shop-cluster/user", fault: "a name service is written as its NameNodes"},
		{url: "hdfs://nn1:9000,/user", fault: "a NameNode looks like host:8020"},
		{url: "hdfs://", fault: "a NameNode looks like"},
		{url: "webhdfs://nn/user", fault: "host:9870"},
		{url: "webhdfs://nn:9870/user?op=OPEN", fault: "without parameters"},
		{url: "s3://bucket/user", fault: "must be file:FOLDER"},
		{url: "file:", fault: "must be file:FOLDER"},
		{url: "/srv/archive", fault: "must be file:FOLDER"},
	} {
		a := Archive{URL: test.url}
		place, err := a.place()
		switch {
		case test.fault != "":
			if err == nil || !strings.Contains(err.Error(), test.fault) || a.Elsewhere() != nil {
				t.Errorf("%s: %v, want %q", test.url, err, test.fault)
			}
		case err != nil:
			t.Errorf("%s: %v", test.url, err)
		case test.want == "" && place != nil, test.want != "" && (place == nil || place.String() != test.want):
			t.Errorf("%s is %v, want %q", test.url, place, test.want)
		}
	}
}

func TestArchiveDir(t *testing.T) {
	for url, want := range map[string]string{
		"file:archive": "/data/archive", "file:/srv/a": "/srv/a", "file:///srv/a": "/srv/a", "hdfs://nn:9000/user": "/data/archive",
	} {
		c := &Config{Data: Data{Dir: "/data"}, Archive: Archive{URL: url}}
		if got := c.ArchiveDir(); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
