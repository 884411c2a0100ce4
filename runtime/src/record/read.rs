//! Bytes, as records.
//!
//! Facts. A file may have been cut anywhere, and any byte of it may be wrong.
//!
//! Contract. To read never panics. A record that the file does not hold whole is not read at all. A byte that makes no sense
//! is an error with its place. A text is not copied before it is known to be there, so that the memory needed is never more
//! than a small multiple of the file.
//!
//! What it does not know: what the records mean together.

use crate::core::probe::End;
use crate::record::error::{Kind, TraceError};
use crate::record::format::{
    Header, LAST_KIND, MAGIC, NAME, RESOURCE, Record, ResourceNo, SHUFFLED, SOCKET, STATE, TASK, TEXT,
    TaskNo, VERSION, VIRTUAL,
};
use crate::record::snapshot::{Snapshot, Step, Timer, Waiter};
use crate::record::what::What;

/// The bytes of a trace, and how far they have been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Why a record was not read to its end.
pub(crate) enum Stop {
    /// The input ends.
    Cut,
    Bad(TraceError),
}

type Read<T> = Result<T, Stop>;

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, at: 0 }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Reads something whole, or nothing of it if the input ends before.
    fn whole<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Result<Option<T>, TraceError> {
        let before = self.at;
        match read(self) {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Bad(error)) => Err(error),
            Err(Stop::Cut) => {
                self.at = before;
                Ok(None)
            }
        }
    }

    /// `None` if the input ends before the header does.
    pub(crate) fn header(&mut self) -> Result<Option<Header>, TraceError> {
        let begin = &self.bytes[..self.bytes.len().min(MAGIC.len())];
        if begin.is_empty() || !MAGIC.starts_with(begin) {
            return Err(TraceError::new(0, Kind::NoTrace));
        }
        self.at = begin.len();
        self.whole(|input| {
            let at = input.at;
            let version = input.number()?;
            if version != VERSION {
                return Err(Stop::Bad(TraceError::new(at, Kind::Version(version))));
            }
            let (flags, date, program) = (input.number()?, input.number()?, input.text()?.to_owned());
            let (is_virtual, is_shuffled) = (flags & VIRTUAL != 0, flags & SHUFFLED != 0);
            Ok(Header { is_virtual, is_shuffled, date, program })
        })
    }

    /// The next record; `None` if the input ends before the record does.
    pub(crate) fn record(&mut self) -> Result<Option<Record<'a>>, TraceError> {
        self.whole(|input| {
            let kind = input.byte()?;
            Ok(match kind {
                TEXT => Record::Text(input.text()?),
                TASK => Record::Task {
                    task: input.task()?,
                    at: input.maybe_small()?,
                    size: input.maybe()?,
                    by: input.maybe_task()?,
                },
                NAME => Record::Name { task: input.task()?, name: input.small()? },
                RESOURCE => Record::Resource {
                    resource: input.resource()?,
                    what: input.maybe_small()?,
                    name: input.maybe_small()?,
                    at: input.maybe_small()?,
                },
                SOCKET => Record::Socket {
                    resource: input.resource()?,
                    descriptor: input.maybe_small()?,
                    local: input.maybe_small()?,
                    peer: input.maybe_small()?,
                },
                STATE => Record::State(Box::new(input.state()?)),
                kind if kind > LAST_KIND => return Err(input.bad_before("no record begins with this byte")),
                kind => Record::Event { after: input.number()?, what: input.event(kind)? },
            })
        })
    }

    fn event(&mut self, kind: u8) -> Read<What<TaskNo, ResourceNo>> {
        Ok(match kind {
            0 => What::Turn { number: self.number()? },
            1 => What::Spawn { task: self.task()? },
            2 => What::Wake { task: self.task()?, by: self.maybe_task()?, cause: self.maybe_resource()? },
            3 => What::Poll { task: self.task()? },
            4 => {
                let (task, (complete, panicked)) = (self.task()?, self.bits()?);
                What::Polled { task, complete, panicked }
            }
            5 => What::Done { task: self.task()?, end: self.end()? },
            6 => What::Unheard { task: self.task()? },
            7 => What::Park { limit: self.maybe()? },
            8 => What::Unpark,
            17 => What::Cancel { task: self.task()?, by: self.maybe_task()? },
            18 => What::Spent { task: self.maybe_task()? },
            20 => What::Gap { dropped: self.number()? },
            21 => What::Shutdown { step: self.small()? },
            kind => self.wait(kind)?,
        })
    }

    /// The events that name a resource.
    fn wait(&mut self, kind: u8) -> Read<What<TaskNo, ResourceNo>> {
        Ok(match kind {
            9 => {
                let (source, (readable, writable)) = (self.resource()?, self.bits()?);
                What::Ready { source, readable, writable }
            }
            10 => What::Fired { timer: self.resource()? },
            11 => What::Wait { task: self.maybe_task()?, on: self.resource()?, holder: self.maybe_task()? },
            12 => What::Waited { task: self.maybe_task()?, on: self.resource()? },
            13 => What::Set { timer: self.resource()?, deadline: self.number()?, task: self.maybe_task()? },
            14 => What::Unset { timer: self.resource()? },
            15 => What::Open { source: self.resource()?, descriptor: self.maybe_small()? },
            16 => What::Close { source: self.resource()? },
            19 => What::Mark { text: self.small()?, task: self.maybe_task()? },
            _ => return Err(self.bad("no event is of this kind")),
        })
    }

    fn state(&mut self) -> Read<Snapshot<TaskNo, ResourceNo>> {
        let (turn, step, shutdown, running) =
            (self.number()?, self.step()?, self.small()?, self.maybe_task()?);
        let ((outside_is_next, is_partial), live) = (self.bits()?, self.number()?);
        let (tasks, outside, over) =
            (self.list(Input::task)?, self.list(Input::task)?, self.list(Input::task)?);
        let timers = self.list(|input| {
            let (timer, deadline, task) = (input.resource()?, input.number()?, input.maybe_task()?);
            Ok(Timer { timer, deadline, task })
        })?;
        let waiters = self.list(|input| {
            let (task, on, holder) = (input.maybe_task()?, input.resource()?, input.maybe_task()?);
            Ok(Waiter { task, on, holder })
        })?;
        let sources = self.list(Input::resource)?;
        Ok(Snapshot {
            step,
            turn,
            shutdown,
            is_partial,
            running,
            outside_is_next,
            live,
            tasks,
            outside,
            over,
            timers,
            waiters,
            sources,
        })
    }

    /// Nothing is reserved for as many as the file says that there are: each of them has to be there.
    fn list<V>(&mut self, one: impl Fn(&mut Self) -> Read<V>) -> Read<Vec<V>> {
        let (count, mut all) = (self.number()?, Vec::new());
        for _ in 0..count {
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn step(&mut self) -> Read<Step> {
        let number = self.byte()?;
        Step::from_number(number.into()).ok_or_else(|| self.bad_before("no step of a turn has this number"))
    }

    fn bad(&self, what: &'static str) -> Stop {
        Stop::Bad(TraceError::new(self.at, Kind::Bad(what)))
    }

    /// The byte that was read last is wrong.
    fn bad_before(&self, what: &'static str) -> Stop {
        Stop::Bad(TraceError::new(self.at - 1, Kind::Bad(what)))
    }

    fn byte(&mut self) -> Read<u8> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::Cut)?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.bad("a number has more than 64 bits"))
    }

    fn small(&mut self) -> Read<u32> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| self.bad("a number has more than 32 bits"))
    }

    fn maybe(&mut self) -> Read<Option<u64>> {
        Ok(self.number()?.checked_sub(1))
    }

    fn maybe_small(&mut self) -> Read<Option<u32>> {
        Ok(self.small()?.checked_sub(1))
    }

    fn text(&mut self) -> Read<&'a str> {
        let length = self.number()?;
        let left = &self.bytes[self.at..];
        let text = usize::try_from(length).ok().and_then(|length| left.get(..length)).ok_or(Stop::Cut)?;
        let text = std::str::from_utf8(text).map_err(|_| self.bad("a text is not UTF-8"))?;
        self.at += text.len();
        Ok(text)
    }

    fn task(&mut self) -> Read<TaskNo> {
        Ok(TaskNo { slot: self.small()?, serial: self.small()? })
    }

    fn maybe_task(&mut self) -> Read<Option<TaskNo>> {
        let Some(slot) = self.maybe_small()? else { return Ok(None) };
        Ok(Some(TaskNo { slot, serial: self.small()? }))
    }

    fn resource(&mut self) -> Read<ResourceNo> {
        let kind = self.byte()?;
        self.resource_of(kind)
    }

    fn maybe_resource(&mut self) -> Read<Option<ResourceNo>> {
        match self.byte()? {
            0 => Ok(None),
            kind => self.resource_of(kind - 1).map(Some),
        }
    }

    fn resource_of(&mut self, kind: u8) -> Read<ResourceNo> {
        Ok(match kind {
            0 => ResourceNo::Task(self.task()?),
            1 => ResourceNo::Timer(self.number()?),
            2 => ResourceNo::Source(self.number()?),
            3 => ResourceNo::Line(self.number()?),
            _ => return Err(self.bad_before("no kind of resource has this number")),
        })
    }

    fn bits(&mut self) -> Read<(bool, bool)> {
        match self.byte()? {
            bits @ 0..4 => Ok((bits & 1 != 0, bits & 2 != 0)),
            _ => Err(self.bad_before("only two bits can be set here")),
        }
    }

    fn end(&mut self) -> Read<End> {
        Ok(match self.byte()? {
            0 => End::Returned,
            1 => End::Cancelled,
            2 => End::Panicked,
            _ => return Err(self.bad_before("a task does not end like this")),
        })
    }
}
