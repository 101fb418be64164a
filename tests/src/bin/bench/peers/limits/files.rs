//! nginx with Feedway's hot page as a file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::peers::drive::Paced;
use crate::peers::peer::{About, Bench, NGINX, Peer, Work};
use crate::peers::process::{self, Server};
use crate::peers::wrk;

#[derive(Default)]
pub(crate) struct Nginx {
    running: Option<(Server, SocketAddr)>,
}

/// It may lie where only root's path leads.
fn program() -> PathBuf {
    let debian = Path::new("/usr/sbin/nginx");
    if debian.is_file() {
        return debian.to_owned();
    }
    PathBuf::from("nginx")
}

impl Peer for Nginx {
    fn key(&self) -> &'static str {
        "nginx"
    }

    fn name(&self) -> &'static str {
        NGINX
    }

    fn about(&mut self, _bench: &Bench) -> Result<About, Failure> {
        let said = process::says(&program(), &["-v"])?;
        Ok(About {
            version: said.rsplit('/').next().unwrap_or_default().to_owned(),
            settings: "sendfile, open_file_cache, no log, a worker per core; the hot page of Feedway as a file".into(),
        })
    }

    fn start(&mut self, bench: &Bench) -> Result<(), Failure> {
        if !bench.page_file.is_file() {
            return Err("there is no page of Feedway's".into());
        }
        let address = process::free_address()?;
        let config = bench.folder.join("nginx.conf");
        std::fs::write(&config, settings(address, &bench.folder))?;
        let root = bench.folder.join("www");
        std::fs::create_dir_all(&root)?;
        std::fs::copy(&bench.page_file, root.join("page.json"))?;
        let mut command = Command::new(program());
        command
            .arg("-e")
            .arg(bench.folder.join("errors"))
            .arg("-c")
            .arg(&config);
        let mut server = Server::start(&command, &bench.folder.join("log"))?;
        server.listens(address)?;
        self.running = Some((server, address));
        Ok(())
    }

    fn process_id(&self) -> Option<u32> {
        self.running.as_ref().map(|(server, _)| server.id())
    }

    fn fill(&mut self, _bench: &Bench) -> Result<(), Failure> {
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, work: Work) -> Result<Option<f64>, Failure> {
        let (_, address) = self.running.as_ref().ok_or("it does not run")?;
        let url = format!("http://{address}/page.json");
        match work {
            Work::SameHundred => wrk::rate(bench, &url, &[]).map(Some),
            Work::NotModified => {
                let etag = bench.wait(crate::peers::feedway::etag(&url))?;
                wrk::rate(bench, &url, &[("If-None-Match", &etag)]).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn latency(&mut self, _bench: &Bench) -> Result<Option<Paced>, Failure> {
        Ok(None)
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

fn settings(address: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    // As root it gives up its rights, and has to be able to read the folder all the same.
    let user = if nix::unistd::Uid::effective().is_root() {
        "user root;\n"
    } else {
        ""
    };
    format!(
        "{user}daemon off;\nworker_processes auto;\npid {folder}/nginx.pid;\nevents {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; sendfile on; tcp_nopush on; open_file_cache max=100; keepalive_requests 1000000000;\n\
         \x20 types {{ application/cloudevents-batch+json json; }}\n\
         \x20 client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;\n\
         \x20 uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n\
         \x20 server {{ listen {address}; root {folder}/www; }}\n}}\n"
    )
}
