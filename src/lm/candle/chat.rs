//! Chat templates: how a model wants to be spoken to, as the Jinja template that its file carries.

use crate::lm::LmError;
use minijinja::{Environment, ErrorKind, context};

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
        environment.add_template("chat", &self.source).map_err(failed)?;
        let message = |role: &str, content: &str| context! { role => role, content => content };
        let messages: Vec<_> = system.map(|system| message("system", system)).into_iter().chain([message("user", user)]).collect();
        let template = environment.get_template("chat").map_err(failed)?;
        let values = context! { messages => messages, add_generation_prompt => true, bos_token => self.bos, eos_token => self.eos };
        template.render(values).map_err(failed)
    }
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
        assert!(ChatTemplate::new("{% for %}", "", "").prompt("Hi", None).is_err());
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(ChatTemplate::new(endless, "", "").prompt("Hi", None).is_err());
    }
}
