public import Autograd

/// A preferred and a rejected draw at one timestep.
///
/// Where two candidates part, both come from one noisy latent; at the steps that each continues alone,
/// each from its own.
public struct CandidatePair {
  public var timestep: Int
  public var win: Draw
  public var lose: Draw
  /// Whether both come from the same latent.
  public var sharesLatent: Bool
  /// Which prompt of the batch it belongs to.
  public var prompt: Int

  /// One step of sampling, each tensor `[1, height, width, channels]`.
  public struct Draw {
    /// The noisy latent x_t.
    public var latent: Tensor
    /// What was drawn from there, x_{t-1}.
    public var next: Tensor

    public init(latent: Tensor, next: Tensor) {
      self.latent = latent
      self.next = next
    }
  }

  public init(timestep: Int, win: Draw, lose: Draw, sharesLatent: Bool, prompt: Int) {
    self.timestep = timestep
    self.win = win
    self.lose = lose
    self.sharesLatent = sharesLatent
    self.prompt = prompt
  }

  /// The same with the rejected draw preferred.
  public var inverted: CandidatePair {
    CandidatePair(
      timestep: timestep, win: lose, lose: win, sharesLatent: sharesLatent, prompt: prompt)
  }
}

/// Pairs as tensors: each noisy latent stands there once, so one call of the U-Net serves a winner and a
/// loser that share theirs.
public struct PairBatch {
  /// The different x_t, `[rows, height, width, channels]`.
  public let latents: Tensor
  /// The timestep of each latent.
  public let timesteps: [Int]
  /// The prompt of each latent.
  public let prompts: [Int]
  public let win: Draws
  public let lose: Draws

  public struct Draws {
    /// The latent that each pair's draw comes from.
    public let origins: [Int]
    /// The x_{t-1} of each pair, `[pairs, height, width, channels]`.
    public let next: Tensor
  }

  public init(_ pairs: [CandidatePair]) {
    var latents: [Tensor] = []
    var owners: [CandidatePair] = []
    func place(_ latent: Tensor, of pair: CandidatePair) -> Int {
      latents.append(latent)
      owners.append(pair)
      return latents.count - 1
    }
    var origins: (win: [Int], lose: [Int]) = ([], [])
    for pair in pairs {
      let origin = place(pair.win.latent, of: pair)
      origins.win.append(origin)
      origins.lose.append(pair.sharesLatent ? origin : place(pair.lose.latent, of: pair))
    }
    self.latents = concatenated(latents, axis: 0)
    timesteps = owners.map(\.timestep)
    prompts = owners.map(\.prompt)
    win = Draws(origins: origins.win, next: concatenated(pairs.map(\.win.next), axis: 0))
    lose = Draws(origins: origins.lose, next: concatenated(pairs.map(\.lose.next), axis: 0))
  }

  /// Pairs that all share their latents, one row for each.
  public init(latents: Tensor, timesteps: [Int], win: Tensor, lose: Tensor) {
    self.latents = latents
    self.timesteps = timesteps
    prompts = Array(timesteps.indices)
    self.win = Draws(origins: prompts, next: win)
    self.lose = Draws(origins: prompts, next: lose)
  }
}
