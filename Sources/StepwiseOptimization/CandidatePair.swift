public import Autograd

/// A preferred and a rejected sample at one timestep.
///
/// At the step where two candidates diverge, both come from one noisy latent; at the steps that
/// each continues alone, each from its own.
public struct CandidatePair {
  public var timestep: Int
  public var win: Draw
  public var lose: Draw
  /// Whether both come from the same latent.
  public var sharesLatent: Bool
  /// The index of its prompt in the batch.
  public var prompt: Int

  /// One step of sampling, each tensor `[1, height, width, channels]`.
  public struct Draw {
    /// The noisy latent x_t.
    public var latent: Tensor
    /// The sample x_{t-1} from it.
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

  /// Returns the same with the rejected sample preferred.
  public var inverted: CandidatePair {
    CandidatePair(
      timestep: timestep, win: lose, lose: win, sharesLatent: sharesLatent, prompt: prompt)
  }
}

/// Pairs as tensors, with each noisy latent once, so that one U-Net call serves a winner and a
/// loser that share theirs.
public struct PairBatch {
  /// The distinct x_t, `[rows, height, width, channels]`.
  public let latents: Tensor
  /// The timestep of each latent.
  public let timesteps: [Int]
  /// The prompt of each latent.
  public let prompts: [Int]
  public let win: Draws
  public let lose: Draws

  public struct Draws {
    /// The index of the latent of each sample.
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

  /// Creates pairs that all share their latents, one row per pair.
  public init(latents: Tensor, timesteps: [Int], win: Tensor, lose: Tensor) {
    self.latents = latents
    self.timesteps = timesteps
    prompts = Array(timesteps.indices)
    self.win = Draws(origins: prompts, next: win)
    self.lose = Draws(origins: prompts, next: lose)
  }
}
