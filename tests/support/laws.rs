//! The laws of a [`LanguageModel`]: rows equal to the bit whatever the batch, the siblings, the order and the
//! caches.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tamis::lm::LanguageModel;
use tamis::vocab::TokenId;

pub fn tokens(count: usize, vocabulary: usize, seed: u64) -> Vec<TokenId> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| TokenId::new(rng.random_range(0..vocabulary as u32))).collect()
}

/// The bits of a row.
pub fn bits<L: LanguageModel>(lm: &L, context: &L::Context) -> Vec<u64> {
    let row = lm.next_token(context).unwrap();
    lm.vocabulary().tokens().map(|token| row.log_prob(token).to_bits()).collect()
}

/// The row after `text`, each token after the first `prompt` alone in its batch.
pub fn alone<L: LanguageModel>(lm: &mut L, text: &[TokenId], prompt: usize) -> Vec<u64> {
    let mut context = lm.prefill(&text[..prompt]).unwrap();
    for token in &text[prompt..] {
        context = lm.extend(&[(context, *token)]).unwrap().remove(0);
    }
    bits(lm, &context)
}

/// All laws, on models made alike by `make`.
pub fn obeys_the_laws<L: LanguageModel>(make: impl Fn() -> L) {
    a_row_does_not_depend_on_what_was_prompt_and_what_was_answer(&make);
    particles_in_a_batch_get_the_rows_they_get_alone(&make);
    a_prefill_is_the_same_after_other_prefills(&make);
}

fn a_row_does_not_depend_on_what_was_prompt_and_what_was_answer<L: LanguageModel>(make: &impl Fn() -> L) {
    let mut lm = make();
    let text = tokens(70, lm.vocabulary().len(), 1);
    let expected = alone(&mut lm, &text, 70);
    for prompt in [1, 2, 15, 16, 17, 33, 69] {
        assert_eq!(alone(&mut make(), &text, prompt), expected, "prompt of {prompt} tokens");
    }
}

fn particles_in_a_batch_get_the_rows_they_get_alone<L: LanguageModel>(make: &impl Fn() -> L) {
    let (mut lm, mut other) = (make(), make());
    let size = lm.vocabulary().len();
    let prompt = tokens(21, size, 2);
    let root = lm.prefill(&prompt).unwrap();
    let stranger_text = tokens(5, size, 3);
    let stranger = lm.prefill(&stranger_text).unwrap();
    let mut particles = vec![(root, prompt); 5];
    particles.push((stranger, stranger_text));
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for step in 0..24 {
        // Few distinct tokens, so that some particles stay equal; forks and deaths as in resampling.
        let batch: Vec<_> = particles.iter().map(|(context, _)| (context.clone(), TokenId::new(rng.random_range(0..3)))).collect();
        let extended = lm.extend(&batch).unwrap();
        assert_eq!(extended.len(), batch.len());
        for ((particle, context), (_, token)) in particles.iter_mut().zip(extended).zip(&batch) {
            particle.0 = context;
            particle.1.push(*token);
        }
        if step % 7 == 3 {
            let parent = rng.random_range(0..particles.len());
            particles[0] = particles[parent].clone();
            particles.reverse();
        }
    }
    for (context, text) in &particles {
        let in_batch = bits(&lm, context);
        assert_eq!(in_batch, alone(&mut other, text, 3));
    }
}

fn a_prefill_is_the_same_after_other_prefills<L: LanguageModel>(make: &impl Fn() -> L) {
    let mut lm = make();
    let size = lm.vocabulary().len();
    let text = tokens(150, size, 5);
    let mut parted = text.clone();
    parted[40] = TokenId::new((parted[40].get() + 1) % size as u32);
    for prompt in [&text[..50], &text[..], &parted, &text[..32], &text[..33], &text[..], &parted[..41], &text[..50]] {
        let context = lm.prefill(prompt).unwrap();
        let mut fresh = make();
        let expected = fresh.prefill(prompt).unwrap();
        assert_eq!(bits(&lm, &context), bits(&fresh, &expected), "{} tokens", prompt.len());
    }
}
