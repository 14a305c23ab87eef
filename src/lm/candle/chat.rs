//! Chat templates: how a model wants to be spoken to, as the Jinja template that its file carries.

use crate::lm::LmError;
use minijinja::{Environment, ErrorKind, context};
use std::borrow::Cow;

/// A model's chat template.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// The template `source`, with the spellings of the tokens that begin and end a text.
    pub fn new(source: impl Into<String>, bos: impl Into<String>, eos: impl Into<String>) -> Self {
        Self { source: source.into(), bos: bos.into(), eos: eos.into() }
    }

    /// The text that asks the model for an answer to `user`. Without a `system` message the template's own
    /// default holds, if it has one.
    ///
    /// # Errors
    /// If the template does not parse, or refuses the messages (some know no system message).
    ///
    /// ```
    /// # use tamis::lm::candle::ChatTemplate;
    /// let template = ChatTemplate::new("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>", "", "");
    /// assert_eq!(template.prompt("Hi", Some("Be brief."))?, "<system>Be brief.<user>Hi<assistant>");
    /// # Ok::<(), tamis::lm::LmError>(())
    /// ```
    pub fn prompt(&self, user: &str, system: Option<&str>) -> Result<String, LmError> {
        let failed = |error: minijinja::Error| {
            LmError::other("the model's chat template failed; give the prompt as it is with --raw").caused_by(error)
        };
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        // Templates come with models: they may not run for ever.
        environment.set_fuel(Some(1_000_000));
        environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        let source = without_generation_marks(&self.source);
        environment.add_template("chat", &source).map_err(failed)?;
        let message = |role: &str, content: &str| context! { role => role, content => content };
        let messages: Vec<_> = system.map(|system| message("system", system)).into_iter().chain([message("user", user)]).collect();
        let template = environment.get_template("chat").map_err(failed)?;
        let values = context! { messages => messages, add_generation_prompt => true, bos_token => self.bos, eos_token => self.eos };
        template.render(values).map_err(failed)
    }
}

/// The template without `{% generation %}` and `{% endgeneration %}`, with which some mark what a model was
/// trained to write; Jinja itself does not know them.
fn without_generation_marks(source: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        // The end of a tag begins after its beginning: `{%}` is none.
        let Some(length) = rest[start + 2..].find("%}") else { break };
        let end = start + length + 4;
        let (before, tag, after) = (&rest[..start], &rest[start..end], &rest[end..]);
        let name = tag[2..2 + length].trim_matches(['-', '+']).trim();
        if matches!(name, "generation" | "endgeneration") {
            kept += if tag.starts_with("{%-") { before.trim_end() } else { before };
            rest = if tag.ends_with("-%}") { after.trim_start() } else { after };
        } else {
            kept += &rest[..end];
            rest = after;
        }
    }
    if rest.len() == source.len() { Cow::Borrowed(source) } else { Cow::Owned(kept + rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_refuses_says_why() {
        let template =
            ChatTemplate::new("{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}ok", "", "");
        assert_eq!(template.prompt("Hi", None).unwrap(), "ok");
        assert!(template.prompt("Hi", Some("x")).unwrap_err().to_string().contains("no system message"));
    }

    #[test]
    fn broken_and_endless_templates_are_errors() {
        for broken in ["{% for %}", "{%}", "{%", "{%}{% generation %}"] {
            assert!(ChatTemplate::new(broken, "", "").prompt("Hi", None).is_err(), "{broken}");
        }
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(ChatTemplate::new(endless, "", "").prompt("Hi", None).is_err());
    }

    /// What a template in the style of a family makes of a question, with and without a system message.
    fn rendered(source: &str) -> [Result<String, String>; 2] {
        let template = ChatTemplate::new(source, "<bos>", "<eos>");
        [None, Some("Be brief.")].map(|system| template.prompt("Hi", system).map_err(|error| error.to_string()))
    }

    #[test]
    fn chat_ml_gives_a_default_system_message() {
        let [alone, with_system] = rendered(
            r"{%- if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nHelp.<|im_end|>\n' }}{% endif %}
            {%- for message in messages %}
                {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
            {%- endfor %}
            {%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        );
        let rest = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(alone.unwrap(), format!("<|im_start|>system\nHelp.<|im_end|>\n{rest}"));
        assert_eq!(with_system.unwrap(), format!("<|im_start|>system\nBe brief.<|im_end|>\n{rest}"));
    }

    /// Dates come from the template, not from the clock: the same prompt today and tomorrow.
    #[test]
    fn llama_3_trims_and_has_a_date_of_its_own() {
        let [alone, with_system] = rendered(
            r#"{{- bos_token }}
{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}{{- "Environment: ipython\n" }}{%- endif %}
{{- "Today Date: " + date_string + "\n\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif message.tool_calls|length != 1 %}{{- raise_exception("one tool call at a time") }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"#,
        );
        let whole = |system: &str| {
            format!(
                "<bos><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n{system}<|eot_id|>\
                 <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
            )
        };
        assert_eq!(alone.unwrap(), whole(""));
        assert_eq!(with_system.unwrap(), whole("Be brief."));
    }

    #[test]
    fn gemma_puts_the_system_message_before_the_question() {
        let [alone, with_system] = rendered(
            r#"{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}{{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}{{ item['text'] | trim }}{%- endfor -%}
    {%- else -%}{{ raise_exception("Invalid content type") }}{%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<start_of_turn>model\n'}}{%- endif -%}"#,
        );
        assert_eq!(alone.unwrap(), "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n");
        assert_eq!(with_system.unwrap(), "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n");
    }

    #[test]
    fn mistral_counts_turns_in_a_namespace() {
        let [alone, with_system] = rendered(
            r#"{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}{{- raise_exception("roles must alternate") }}{%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}{{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}{{- "[INST] " + message["content"] + "[/INST]" }}{%- endif %}
    {%- elif message["role"] == "assistant" %}{{- " " + message["content"]|trim + eos_token }}
    {%- else %}{{- raise_exception("Only user and assistant roles are supported!") }}{%- endif %}
{%- endfor %}"#,
        );
        assert_eq!(alone.unwrap(), "<bos>[INST] Hi[/INST]");
        assert_eq!(with_system.unwrap(), "<bos>[INST] Be brief.\n\nHi[/INST]");
    }

    /// Its branches for tools and for thoughts, with the methods of Python's strings and slices backwards.
    #[test]
    fn qwen_3_walks_its_branches_for_tools_and_thoughts() {
        let [alone, with_system] = rendered(
            r#"{%- if tools %}{{- '<|im_start|>system\n' }}
    {%- for tool in tools %}{{- "\n" }}{{- tool | tojson }}{%- endfor %}{{- "<|im_end|>\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
        {{- '<|im_start|>' + message.role + '\n' + content.split('</think>')[-1].lstrip('\n') + reasoning_content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}{{- ns.last_query_index }}"#,
        );
        assert_eq!(alone.unwrap(), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n0");
        let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n1";
        assert_eq!(with_system.unwrap(), expected);
    }

    #[test]
    fn marks_of_what_was_trained_on_are_left_out() {
        let [alone, _] = rendered("a {%- generation -%} b{% endgeneration %}{% if true %}c{% endif %}{%+ generation %}d");
        assert_eq!(alone.unwrap(), "abcd");
        assert_eq!(without_generation_marks("{% generation %}a{% endgeneration %}"), "a");
        assert_eq!(without_generation_marks("{{ x }} {% unclosed"), "{{ x }} {% unclosed");
    }
}
