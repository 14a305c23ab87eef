//! The arguments of `tamis generate` that say how tokens are drawn and particles resampled.

use crate::cli::CliError;
use clap::{Args, ValueEnum};
use tamis::sampler::{Awrs, DesRaj, Direct, Geometric, Improper, Masked, TokenSampler, TwoLoop};
use tamis::smc::Resampling;

/// How tokens are drawn and particles resampled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// How each token is drawn.
    #[arg(long, value_enum, default_value_t = SamplerName::Awrs)]
    pub sampler: SamplerName,

    /// With the sampler `awrs`: go on asking until the weight's relative error is expected to be no larger
    /// [default: 0.05].
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    pub error: Option<f64>,

    /// With the sampler `awrs`, instead: go on asking until no more probability than this is unseen.
    #[arg(long, value_name = "P", allow_negative_numbers = true, conflicts_with = "error")]
    pub eps: Option<f64>,

    /// With `awrs`, compute the mask after so many refusals; with `recursive`, `averaged` and `geometric`, die.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_rejects: Option<u32>,

    /// With the sampler `awrs`: whether a whole mask may be computed.
    #[arg(long, value_enum)]
    pub mask: Option<MaskName>,

    /// How particles are resampled.
    #[arg(long, value_enum, default_value_t = ResamplingName::Systematic)]
    pub resampling: ResamplingName,

    /// Resample when the effective sample size falls below this fraction of the particles; 0 never does.
    #[arg(long, value_name = "F", default_value_t = 0.5, allow_negative_numbers = true)]
    pub ess_threshold: f64,
}

/// A way to draw a token under the constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SamplerName {
    /// Adaptive weighted rejection sampling: asks about the tokens that the model proposes.
    Awrs,
    /// Asks about all tokens, every time: exact weights, slower.
    Masked,
    /// Rejection with one more draw for the weight, as genlm-control does on flat distributions.
    Recursive,
    /// Rejection with as many more draws for the weight as it took.
    Averaged,
    /// Counts draws as if with replacement, as genlm-control does on peaked distributions.
    Geometric,
    /// The paper's two searches.
    TwoLoop,
    /// Proposes one token and dies where it is refused.
    Direct,
    /// What most constrained decoders do: no weights. Biased; for comparison.
    Improper,
}

/// Whether a whole mask may be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MaskName {
    /// After --max-rejects refusals.
    Auto,
    /// Never: ask about one token after another.
    Never,
}

/// How particles are resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResamplingName {
    /// One random number for all places.
    Systematic,
    /// One in each of as many equal parts as there are particles.
    Stratified,
    /// Whole parts for certain, the rest at random.
    Residual,
    /// Each place at random.
    Multinomial,
}

impl SamplingArgs {
    /// The sampler, after a check that every option given means something to it.
    pub fn sampler(&self) -> Result<Box<dyn TokenSampler>, CliError> {
        let name = self.name();
        if self.sampler != SamplerName::Awrs && (self.error.is_some() || self.eps.is_some() || self.mask.is_some()) {
            return Err(CliError::usage(format!("--error, --eps and --mask mean nothing to the sampler `{name}`"))
                .hint("they are for --sampler awrs"));
        }
        if self.error.is_some_and(|error| !(0.0..=1.0).contains(&error)) {
            return Err(CliError::usage("--error is a relative error, between 0 and 1"));
        }
        if self.eps.is_some_and(|eps| !(0.0..=1.0).contains(&eps)) {
            return Err(CliError::usage("--eps is a probability, between 0 and 1"));
        }
        if self.mask == Some(MaskName::Never) && self.max_rejects.is_some() {
            return Err(CliError::usage("--max-rejects says when to compute a mask, and --mask never forbids it"));
        }
        let bounded = |plan: DesRaj| self.max_rejects.map_or(plan, |most| plan.give_up_after(most));
        Ok(match self.sampler {
            SamplerName::Awrs => {
                let awrs = self.error.map_or(Awrs::new(), |error| Awrs::new().error(error));
                let awrs = self.eps.map_or(awrs, |eps| awrs.eps(eps));
                let awrs = self.max_rejects.map_or(awrs, |rejects| awrs.max_rejects(rejects));
                Box::new(if self.mask == Some(MaskName::Never) { awrs.without_mask() } else { awrs })
            }
            SamplerName::Recursive => Box::new(bounded(DesRaj::recursive())),
            SamplerName::Averaged => Box::new(bounded(DesRaj::draws_per_proposal(1))),
            SamplerName::Geometric => {
                let geometric = Geometric::new(2);
                Box::new(self.max_rejects.map_or(geometric, |most| geometric.give_up_after(most)))
            }
            _ if self.max_rejects.is_some() => {
                return Err(CliError::usage(format!("--max-rejects means nothing to the sampler `{name}`"))
                    .hint("it is for --sampler awrs, recursive, averaged and geometric"));
            }
            SamplerName::Masked => Box::new(Masked::new()),
            SamplerName::TwoLoop => Box::new(TwoLoop::new()),
            SamplerName::Direct => Box::new(Direct::new()),
            SamplerName::Improper => Box::new(Improper::new()),
        })
    }

    /// The sampler's name with its options, as they are typed.
    pub fn described(&self) -> String {
        let mut described = self.name();
        if let Some(error) = self.error {
            described += &format!(" --error {error}");
        }
        if let Some(eps) = self.eps {
            described += &format!(" --eps {eps}");
        }
        if let Some(rejects) = self.max_rejects {
            described += &format!(" --max-rejects {rejects}");
        }
        if let Some(mask) = self.mask {
            described += &format!(" --mask {}", typed(mask));
        }
        described
    }

    fn name(&self) -> String {
        typed(self.sampler)
    }

    /// The name of the scheme of resampling, as it is typed.
    pub fn resampling_name(&self) -> String {
        typed(self.resampling)
    }

    /// Whether the sampler keeps the law of proper weighting.
    pub fn is_properly_weighted(&self) -> bool {
        self.sampler != SamplerName::Improper
    }

    /// The scheme of resampling.
    pub fn scheme(&self) -> Resampling {
        match self.resampling {
            ResamplingName::Systematic => Resampling::Systematic,
            ResamplingName::Stratified => Resampling::Stratified,
            ResamplingName::Residual => Resampling::Residual,
            ResamplingName::Multinomial => Resampling::Multinomial,
        }
    }
}

/// How a value is typed.
fn typed(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
