//! Who there is: tenants with their models and hardware, the services that they share, and the tools.

use opentelemetry::KeyValue;

/// A process that exports spans of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    AgentRuntime,
    Identity,
    PolicyEngine,
    ToolGateway,
    Search,
    Crm,
    Sandbox,
    Warehouse,
    ModelServer,
    Ledger,
    Evaluator,
}

impl Service {
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentRuntime => "agent-runtime",
            Self::Identity => "identity",
            Self::PolicyEngine => "policy-engine",
            Self::ToolGateway => "tool-gateway",
            Self::Search => "mcp-search",
            Self::Crm => "mcp-crm",
            Self::Sandbox => "mcp-sandbox",
            Self::Warehouse => "mcp-warehouse",
            Self::ModelServer => "vllm",
            Self::Ledger => "ledger",
            Self::Evaluator => "evaluator",
        }
    }

    /// The instrumentation scope under which it reports.
    pub const fn scope(self) -> (&'static str, &'static str) {
        match self {
            Self::AgentRuntime => ("agent-runtime.instrumentation", "0.9.2"),
            Self::Search | Self::Crm | Self::Sandbox | Self::Warehouse => ("mcp-python-sdk", "2.3.0"),
            Self::ModelServer => ("vllm.llm_engine", "0.29.0"),
            Self::Evaluator => ("evals.judge", "1.4.0"),
            _ => ("opentelemetry.instrumentation.asgi", "0.66b1"),
        }
    }

    const fn version(self) -> &'static str {
        match self {
            Self::AgentRuntime => "4.12.0",
            Self::ToolGateway => "1.31.4",
            Self::ModelServer => "0.29.0",
            _ => "2.7.1",
        }
    }

    /// What its resource says besides its name.
    pub fn resource(self, tenant: &Tenant) -> Vec<KeyValue> {
        let instance = format!("{}-{}-0", self.name(), tenant.name);
        let mut resource = vec![
            KeyValue::new("service.namespace", "agents"),
            KeyValue::new("service.version", self.version()),
            KeyValue::new("service.instance.id", instance.clone()),
            KeyValue::new("deployment.environment.name", "production"),
            KeyValue::new("k8s.namespace.name", "agents"),
            KeyValue::new("k8s.pod.name", instance),
            KeyValue::new("cloud.region", "eu-central-1"),
        ];
        if self == Self::ModelServer {
            resource.push(KeyValue::new("host.name", format!("gpu-{}", tenant.name)));
            resource.push(KeyValue::new("hw.model", tenant.hardware));
        }
        resource
    }
}

/// A tool that agents call over MCP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tool {
    pub name: &'static str,
    pub server: Service,
    /// Mean time at work.
    pub work_ms: f64,
    /// Calls that it works on at once.
    pub workers: usize,
    /// The database behind it, with the statement's summary.
    pub database: Option<(&'static str, &'static str)>,
    /// What agents ask of it; one of them, by chance.
    pub questions: [&'static str; 4],
}

/// What a tool server says of its tool: the digest of its input schema and its own version.
#[derive(Debug, Clone, Copy)]
pub struct Edition {
    pub schema_digest: &'static str,
    pub server_version: &'static str,
}

/// The schema that agents know, `{"query": string}`, and the one that the drifted tool has, `{"sql": string, "limit": integer}`.
pub const KNOWN_EDITION: Edition =
    Edition { schema_digest: "sha256:5f1c0a7be2d94c38", server_version: "1.8.2" };
pub const DRIFTED_EDITION: Edition =
    Edition { schema_digest: "sha256:c27d6e01f9a85b44", server_version: "2.0.0" };

pub const WEB_SEARCH: Tool = Tool {
    name: "web_search",
    server: Service::Search,
    work_ms: 260.0,
    workers: 4,
    database: None,
    questions: [
        "delivery delays port of Rotterdam",
        "rust async cancellation",
        "EU AI act article 14",
        "grid load forecast",
    ],
};

pub const CRM_LOOKUP: Tool = Tool {
    name: "crm_lookup",
    server: Service::Crm,
    work_ms: 90.0,
    workers: 8,
    database: Some(("postgresql", "SELECT customers")),
    questions: ["open orders", "contract status", "last contact", "billing address"],
};

pub const RUN_CODE: Tool = Tool {
    name: "run_code",
    server: Service::Sandbox,
    work_ms: 620.0,
    workers: 6,
    database: None,
    questions: ["pytest -q", "cargo check", "npm test", "ruff check ."],
};

pub const RUN_QUERY: Tool = Tool {
    name: "run_query",
    server: Service::Warehouse,
    work_ms: 380.0,
    workers: 5,
    database: Some(("clickhouse", "SELECT revenue_daily")),
    questions: ["revenue by region", "churn by cohort", "inventory by site", "latency by release"],
};

/// Whose work it is. Everything that a slice is made of differs between them.
#[derive(Debug)]
pub struct Tenant {
    pub name: &'static str,
    pub agent: &'static str,
    pub workload_class: &'static str,
    pub model: &'static str,
    pub hardware: &'static str,
    /// Requests a second, on average.
    pub rate: f64,
    /// Requests that the model server works on at once.
    pub model_slots: usize,
    pub tools: [&'static Tool; 2],
    /// How many tools a request calls at least and at most.
    pub calls: (usize, usize),
    pub input_tokens: f64,
    pub output_tokens: f64,
}

/// The tenant whose new model revision is tried on a part of its requests.
pub const CANARY_TENANT: &str = "northwind";
pub const CANARY_MODEL: &str = "qwen3-32b-r8";

pub const TENANTS: [Tenant; 4] = [
    Tenant {
        name: "acme",
        agent: "support-agent",
        workload_class: "interactive",
        model: "llama-3.3-70b",
        hardware: "H100",
        rate: 2.0,
        model_slots: 9,
        tools: [&CRM_LOOKUP, &WEB_SEARCH],
        calls: (0, 2),
        input_tokens: 1_800.0,
        output_tokens: 140.0,
    },
    Tenant {
        name: "northwind",
        agent: "research-agent",
        workload_class: "research",
        model: "qwen3-32b-r7",
        hardware: "L40S",
        rate: 1.3,
        model_slots: 9,
        tools: [&WEB_SEARCH, &RUN_QUERY],
        calls: (1, 2),
        input_tokens: 3_600.0,
        output_tokens: 210.0,
    },
    Tenant {
        name: "globex",
        agent: "coding-agent",
        workload_class: "coding",
        model: "gpt-oss-120b",
        hardware: "MI300X",
        rate: 1.1,
        model_slots: 8,
        tools: [&RUN_CODE, &WEB_SEARCH],
        calls: (1, 2),
        input_tokens: 6_500.0,
        output_tokens: 260.0,
    },
    Tenant {
        name: "initech",
        agent: "report-agent",
        workload_class: "batch",
        model: "mistral-small-3.2",
        hardware: "A100",
        rate: 0.9,
        model_slots: 6,
        tools: [&RUN_QUERY, &CRM_LOOKUP],
        calls: (1, 2),
        input_tokens: 2_600.0,
        output_tokens: 320.0,
    },
];
